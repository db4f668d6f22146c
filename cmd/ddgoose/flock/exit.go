package flock

// ExitError tells how the last process ended: nil for exit code 0, and while it runs.
func (a *Agent) ExitError() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.exit
}
