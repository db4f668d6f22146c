package check

import "time"

// Bound is what decides within which time a goose is due (P4).
type Bound struct {
	Lease     time.Duration // the largest promised
	Heartbeat time.Duration // the longest
	RTT       time.Duration // the longest
	Wait      time.Duration // of those that have just restarted (rule 13)
}

// Within gives the bound when so many voters stand in the line of succession:
// two leases, the stagger, five round trips and a heartbeat, after the wait.
func (b Bound) Within(voters int) time.Duration {
	step := max(5*time.Millisecond, b.RTT*5/2)
	return 2*b.Lease + step*time.Duration(voters) + step/4 + 5*b.RTT + b.Heartbeat + b.Wait
}
