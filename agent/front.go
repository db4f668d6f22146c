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
		f.serve(a, socket, api.Local)
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
		f.serve(a, ln, api.Public)
	}
	return f, nil
}

func (f *front) serve(a *Agent, ln net.Listener, scope api.Scope) {
	s := api.NewServer(newBackend(a), scope, a.cfg.Logger)
	f.servers = append(f.servers, s)
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
