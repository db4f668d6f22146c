package agent

import (
	"context"
	"time"

	"duckduckgoose/agent/api"
)

// fileLook is how often the agent looks whether its files are still there.
const fileLook = 2 * time.Second

// lookAfter makes the socket again when its file was removed, and ends the agent
// when its data directory was, until stop. It does not keep the loop waiting
// for a file system.
func (a *Agent) lookAfter(f *front) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(fileLook)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if f.socket != nil && f.socket.Removed() {
				f.restoreSocket(a)
			}
			if err := a.disk.Lost(); err != nil {
				_ = a.do(ctx, func(*life) error { return err }) // dead by simulation: it is told at the next look
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// restoreSocket makes the socket's file again. Connections by the old one last.
func (f *front) restoreSocket(a *Agent) {
	path := a.cfg.Socket
	socket, err := api.ListenSocket(path, a.cfg.SocketMode)
	if err != nil {
		if a.quiet.Due("socket") {
			a.cfg.Logger.Error("the socket file was removed and cannot be made again: nobody can reach this agent by it", "socket", path, "error", err)
		}
		return
	}
	a.cfg.Logger.Warn("the socket file was removed; it is made again", "socket", path)
	old := f.socket
	f.socket = socket
	f.serve(a, f.local, socket)
	_ = old.Close() // it has no file to remove
}
