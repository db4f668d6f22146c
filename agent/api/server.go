package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/boottime"
)

const (
	// headerTime bounds how long a request's header may take.
	headerTime = 2 * time.Second
	// idleTime bounds how long a connection may wait for its next request.
	idleTime = 30 * time.Second
	// answerTime bounds a whole request, and then its answer, where nothing is a stream.
	answerTime = 5 * time.Second
	// closeTime is how long answers under way may take when the server closes.
	closeTime = time.Second
)

// Server serves one agent on one listener.
type Server struct {
	h      *handler
	http   *http.Server
	log    *slog.Logger
	open   atomic.Int64 // connections
	close  sync.Once
	closed chan struct{}
}

// NewServer returns a server for b. With [Local] its listener is a unix socket
// ([ListenSocket]), and the caller's user is checked; with [Public] it may be any
// listener. log may be nil. It gets a warning when no connection can be accepted, and
// broken connections at debug level.
func NewServer(b Backend, scope Scope, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		h:      &handler{b: b, scope: scope, clock: boottime.Now, closing: make(chan struct{})},
		log:    log,
		closed: make(chan struct{}),
	}
	s.http = &http.Server{
		Handler:           s.h,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext:       withGuest,
		ConnState:         s.note,
		// OPTIONS * gets the answer of any unknown path.
		DisableGeneralOptionsHandler: true,
	}
	if scope == Public {
		// No answer here is a stream, so whole requests and answers have a time limit, too.
		s.http.ReadTimeout = answerTime
		s.http.WriteTimeout = answerTime
	}
	return s
}

// Open returns the number of connections.
func (s *Server) Open() int { return int(s.open.Load()) }

// note is package http's ConnState.
func (s *Server) note(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
	answered(c, state)
}

// Serve answers until Close, and then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	err := s.http.Serve(limit(ln, s.log))
	if errors.Is(err, http.ErrServerClosed) {
		<-s.closed // Close still waits for the last answers
		return nil
	}
	return err
}

// Close stops listening, ends streams and sessions, gives answers under way up to a
// second, and returns when all goroutines have ended. Attached holders are closed,
// drained or not: call it after their leases, or when the process ends. A second call
// does nothing.
func (s *Server) Close() error {
	var err error
	s.close.Do(func() {
		close(s.h.closing)
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if err = s.http.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			err = s.http.Close()
		}
		s.h.requests.Lock()
		s.h.requests.over = true
		s.h.requests.Unlock()
		s.h.requests.Wait()
		s.h.linger.Wait()
		close(s.closed)
	})
	<-s.closed
	return err
}
