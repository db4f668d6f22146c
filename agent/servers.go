package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
)

// NoSocket as Config.Socket makes an agent without a unix socket, for embedding.
const NoSocket = "none"

// servers answer local programs and load balancers. They stay open during
// simulated deaths.
type servers struct {
	all    []*api.Server
	local  *api.Server // of the socket
	socket *api.Socket // lookAfter's own, once that runs
	ended  sync.WaitGroup
}

// openServers opens the unix socket and, with --http, the read-only server.
func (a *Agent) openServers() (*servers, error) {
	f := &servers{}
	if a.cfg.Socket != NoSocket {
		socket, err := api.ListenSocket(a.cfg.Socket, a.cfg.SocketMode)
		if err != nil {
			return nil, err
		}
		f.socket, f.local = socket, f.add(a, api.Local)
		f.serve(a, f.local, socket)
	}
	if a.cfg.HTTP != "" {
		ln, err := net.Listen("tcp", a.cfg.HTTP)
		if errors.Is(err, syscall.EADDRINUSE) {
			err = &TakenError{What: "port", Value: a.cfg.HTTP, Flag: "http", Cause: err}
		}
		if err != nil {
			f.close()
			return nil, fmt.Errorf("serve http: %w", err)
		}
		f.serve(a, f.add(a, api.Public), ln)
	}
	return f, nil
}

// open returns the number of connections.
func (f *servers) open() (n int) {
	for _, s := range f.all {
		n += s.Open()
	}
	return n
}

func (f *servers) add(a *Agent, scope api.Scope) *api.Server {
	s := api.NewServer(newBackend(a), scope, a.cfg.Logger)
	f.all = append(f.all, s)
	return s
}

func (f *servers) serve(a *Agent, s *api.Server, ln net.Listener) {
	f.ended.Add(1)
	go func() {
		defer f.ended.Done()
		if err := s.Serve(ln); err != nil && !errors.Is(err, net.ErrClosed) {
			a.cfg.Logger.Error("local server stopped", "error", err)
		}
	}()
}

func (f *servers) close() {
	for _, s := range f.all {
		_ = s.Close() // ends the answers that took too long
	}
	f.ended.Wait()
}

// fileLook is how often the agent checks that its files still exist.
const fileLook = 2 * time.Second

// lookAfter makes the socket again if somebody removes its file, and ends the agent if
// somebody removes its data directory. It runs until stop, on a goroutine of its own,
// so that the loop never waits for a file system.
func (a *Agent) lookAfter(f *servers) (stop func()) {
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
				_ = a.do(ctx, func(*life) error { return err }) // fails while the agent is dead by simulation: the next look tries again
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// restoreSocket makes the socket's file again. Open connections stay.
func (f *servers) restoreSocket(a *Agent) {
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
