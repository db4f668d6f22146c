package agent

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"duckduckgoose/agent/api"
)

// NoSocket as Config.Socket makes an agent without one, for embedding.
const NoSocket = "none"

// front is what local programs and load balancers reach: it outlives the
// agent's simulated deaths.
type front struct {
	servers []*api.Server
	local   *api.Server // of the socket
	socket  *api.Socket // lookAfter's own, once that runs
	ended   sync.WaitGroup
}

// openFront opens the unix socket and, with --http, the read-only server.
func (a *Agent) openFront() (*front, error) {
	f := &front{}
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

func (f *front) add(a *Agent, scope api.Scope) *api.Server {
	s := api.NewServer(newBackend(a), scope, a.cfg.Logger)
	f.servers = append(f.servers, s)
	return s
}

func (f *front) serve(a *Agent, s *api.Server, ln net.Listener) {
	f.ended.Add(1)
	go func() {
		defer f.ended.Done()
		if err := s.Serve(ln); err != nil && !errors.Is(err, net.ErrClosed) {
			a.cfg.Logger.Error("local server stopped", "error", err)
		}
	}()
}

func (f *front) close() {
	for _, s := range f.servers {
		_ = s.Close() // answers under way were given their time
	}
	f.ended.Wait()
}
