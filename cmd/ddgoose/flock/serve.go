package flock

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/netem"
	"duckduckgoose/netem/shape"
)

const (
	// headerTime bounds how long a request's header may take.
	headerTime = 5 * time.Second
	// commandTime bounds a command, so that the caller hears which agents hang within the
	// 10 s that ddgoose waits.
	commandTime = 5 * time.Second
	// bodyBytes bounds a request's body.
	bodyBytes = 64 << 10
)

// server serves the driver's socket.
type server struct {
	f    *Flock
	stop context.CancelFunc // ends the driver
	http *http.Server
	done chan struct{}
}

// serve starts to answer at the driver's socket, which only this user can open.
func serve(f *Flock, stop context.CancelFunc) (*server, error) {
	ln, err := api.ListenSocket(filepath.Join(f.opts.Dir, client.DriverSocket), 0o600)
	if err != nil {
		return nil, err
	}
	s := &server{f: f, stop: stop, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/flock", s.answer(s.info))
	mux.HandleFunc("DELETE /v1/flock", s.answer(func(*http.Request) (any, error) { s.stop(); return nil, nil }))
	mux.HandleFunc("PUT /v1/partition", s.answer(given(s.partition)))
	mux.HandleFunc("DELETE /v1/partition", s.answer(s.heal))
	mux.HandleFunc("POST /v1/kill", s.answer(given(s.kill)))
	mux.HandleFunc("POST /v1/start", s.answer(given(s.start)))
	mux.HandleFunc("PUT /v1/netem", s.answer(given(s.netem)))
	mux.HandleFunc("/", s.answer(func(r *http.Request) (any, error) {
		return nil, api.NotFound("no such request: %s %.80s: there are GET and DELETE /v1/flock, PUT and DELETE /v1/partition, POST /v1/kill, POST /v1/start, PUT /v1/netem", r.Method, r.URL.Path)
	}))
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: headerTime, ReadTimeout: headerTime}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(ln) // until close
	}()
	return s, nil
}

// close waits for the answers under way.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
}

func (s *server) answer(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), commandTime)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytes)
		out, err := do(r.WithContext(ctx))
		code := http.StatusOK
		switch {
		case err != nil:
			code, out = api.Code(err), api.ErrorOf(err)
		case out == nil:
			out = struct{}{}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(out) // the caller may have gone
	}
}

// given reads a command's request body.
func given[T any](do func(context.Context, T) error) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var in T
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return nil, api.Input("body of %s %s: %v", r.Method, r.URL.Path, err)
		}
		return nil, do(r.Context(), in)
	}
}

func (s *server) info(*http.Request) (any, error) {
	f := s.f
	f.mu.Lock()
	i := Info{PID: os.Getpid(), Dir: f.opts.Dir, Partition: f.partition.String(), Netem: f.netem}
	f.mu.Unlock()
	for _, name := range f.names {
		a := f.agents[name]
		i.Agents = append(i.Agents, AgentInfo{Name: name, Addr: a.Addr, Socket: a.Socket, Log: a.Log, PID: a.PID()})
	}
	return i, nil
}

func (s *server) partition(ctx context.Context, in PartitionRequest) error {
	p, err := shape.Parse(in.Shape)
	if err != nil {
		return api.Input("%v", err)
	}
	for _, name := range p.Named() {
		if _, err := s.f.Agent(name); err != nil {
			return api.Input("shape %q: %v", in.Shape, err)
		}
	}
	return s.f.SetPartition(ctx, p)
}

func (s *server) heal(r *http.Request) (any, error) {
	return nil, s.f.SetPartition(r.Context(), shape.Shape{})
}

func (s *server) netem(ctx context.Context, in NetemRequest) error {
	if _, err := netem.Parse(in.Rules); err != nil {
		return api.Input("%v", err)
	}
	return s.f.SetNetem(ctx, in.Rules)
}

func (s *server) kill(ctx context.Context, in NameRequest) error {
	if _, err := s.f.Agent(in.Name); err != nil {
		return api.NotFound("%v", err)
	}
	return wrongState(s.f.Hold(ctx, in.Name))
}

func (s *server) start(_ context.Context, in NameRequest) error {
	if _, err := s.f.Agent(in.Name); err != nil {
		return api.NotFound("%v", err)
	}
	return wrongState(s.f.Start(in.Name))
}

// wrongState turns the errors of a wrong state into api.ErrConflict.
func wrongState(err error) error {
	for _, state := range []error{ErrRuns, errHeld, errClosed} {
		if errors.Is(err, state) {
			return api.Conflict("%v", err)
		}
	}
	return err
}
