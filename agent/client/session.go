package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// drainTime bounds how long a drain waits for the agent's echo. Without the wait, a
// process that ends next could lose its last line.
const drainTime = time.Second

// Session is a holder's session; its connections may come and go. A mailbox keeps the
// newest deadline and the newest stop from the agent. Its methods are safe for
// concurrent use.
type Session struct {
	c      *Client
	opts   HoldOptions
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	ready  chan struct{} // capacity 1
	done   chan struct{} // closed when there will be no further connection
	ended  sync.WaitGroup

	// speaking is held from the decision what to send until it is sent, and is locked
	// before mu. Without it the agent could read a drain, and then that the same work is
	// late.
	speaking sync.Mutex

	mu struct { // guards what follows
		sync.Mutex
		conn    *conversation // nil while there is none
		renewal *api.LeadEvent
		stop    *api.LeadEvent
		waiting *api.LeadEvent
		token   uint64 // of the newest deadline, unless that was drained; 0: none
		proofs  []proof
		late    uint64 // reported, and not drained: a new connection starts with it
		drained uint64 // last one sent: until its echo, the agent may still send deadlines that do not bind it
		refused error
	}
}

// Hold opens a holder's session, for callers that supervise work themselves;
// [Client.Lead] is the easy way. Once an agent has answered, the session reconnects for
// ever.
func (c *Client) Hold(opts HoldOptions) *Session {
	s := newSession(c)
	s.opts = opts
	s.ended.Go(func() { s.stay(opts.Patient) })
	return s
}

func newSession(c *Client) *Session {
	s := &Session{c: c, ready: make(chan struct{}, 1), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// stay reconnects for ever, unless the agent refuses.
func (s *Session) stay(patient bool) {
	defer close(s.done)
	pause, first, lost := firstRetry, true, false
	for {
		conn, err := s.connect(first && !patient)
		switch {
		case err == nil:
			pause, first = firstRetry, false
			s.converse(conn) // ends at once if the session has ended
			if lost = conn.proof.path != ""; lost {
				pause = lostRetry
			}
		case s.ctx.Err() != nil:
			return
		case errors.Is(err, api.ErrInput), errors.Is(err, api.ErrForbidden), errors.Is(err, api.ErrNotFound), errors.Is(err, api.ErrMethod),
			first && (!patient || errors.Is(err, fs.ErrPermission)):
			s.mu.Lock()
			s.mu.refused = err
			s.mu.Unlock()
			return
		default:
			if lost && isAbsent(err) {
				lost = false
				s.lose()
			}
			s.mu.Lock()
			s.mu.waiting = &api.LeadEvent{Waiting: &api.Waiting{Here: err.Error()}}
			s.mu.Unlock()
			s.wake()
		}
		if !sleep(s.ctx, pause) {
			return
		}
		pause = min(2*pause, lastRetry)
	}
}

// connect opens POST /v1/lead. With again it retries for the client's Wait.
func (s *Session) connect(again bool) (conn *conversation, err error) {
	if !again {
		return s.open()
	}
	err = s.c.retry(s.ctx, func() error {
		conn, err = s.open()
		return err
	})
	return conn, err
}

// open opens a connection, with fewer options if the agent is of an older release.
func (s *Session) open() (*conversation, error) {
	conn, err := s.openAs(s.opts)
	if errors.Is(err, api.ErrInput) {
		if plain, failed := s.openAs(s.opts.plain()); failed == nil {
			return plain, nil
		}
	}
	return conn, err
}

func (s *Session) openAs(opts HoldOptions) (*conversation, error) {
	own, cancel := context.WithCancel(s.ctx)
	r, w := io.Pipe()
	// Package http waits for the reader of a request's body, and that reader waits for us:
	// without this an agent that hangs, or that ends before it answers, would block us for ever.
	end := func(err error) { _ = w.CloseWithError(err) }
	context.AfterFunc(own, func() { end(io.ErrClosedPipe) })
	before := boottime.Now()
	resp, err := s.c.open(context.WithValue(own, endKey{}, end), http.MethodPost, s.c.holdPath(opts), r)
	if err != nil {
		cancel()
		return nil, err
	}
	return &conversation{
		resp: resp, lines: w, cancel: cancel, acks: opts.Acks, shift: shift(resp.Header.Get(api.ClockHeader), before, boottime.Now()),
		echoed: make(chan struct{}, 1), over: make(chan struct{}), proof: proofOf(resp.Header.Get(api.WardenHeader)),
	}, nil
}

// converse reads the agent's lines until the connection ends. A lost connection is not
// reported: the last deadline stays valid.
func (s *Session) converse(conn *conversation) {
	s.attach(conn)
	defer func() {
		s.mu.Lock()
		s.mu.conn = nil
		s.mu.Unlock()
		close(conn.over)
		_ = conn.lines.CloseWithError(io.ErrClosedPipe)
		conn.cancel()
		_ = conn.resp.Body.Close() // nothing more to read
	}()
	lines := json.NewDecoder(conn.resp.Body)
	for {
		var e api.LeadEvent
		if lines.Decode(&e) != nil {
			return
		}
		s.hear(conn, e)
		if conn.acks {
			conn.answer(e)
		}
	}
}

// attach makes conn the session's connection, and reports late work on it.
func (s *Session) attach(conn *conversation) {
	s.speaking.Lock()
	defer s.speaking.Unlock()
	s.mu.Lock()
	s.mu.conn = conn
	s.keep(conn.proof)
	late := s.mu.late
	s.mu.Unlock()
	if late != 0 {
		conn.say(api.LeadRequest{Late: late})
	}
}

// hear puts a line of the agent into the mailbox. Lines between a drain and its echo are
// dropped: they do not bind the agent.
func (s *Session) hear(conn *conversation, e api.LeadEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case conn.dead:
		return
	case e.Drained != 0:
		conn.drains--
		select {
		case conn.echoed <- struct{}{}:
		default:
		}
		return
	case conn.drains > 0 && e.Token <= s.mu.drained:
		return
	case e.Stop != "":
		s.mu.stop = &e
	case e.Token != 0:
		e.Until += int64(conn.shift)
		s.mu.renewal, s.mu.waiting, s.mu.token = &e, nil, e.Token
	case e.Waiting != nil:
		s.mu.waiting = &e
	}
	s.wake()
}

func (s *Session) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Ready gets a value when Next may have something.
func (s *Session) Ready() <-chan struct{} { return s.ready }

// Done is closed when there will be no further connection: the agent has refused the
// session, or Close was called.
func (s *Session) Done() <-chan struct{} { return s.done }

// Next returns the newest deadline, then the newest stop, then the reason to wait.
func (s *Session) Next() (api.LeadEvent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range []**api.LeadEvent{&s.mu.renewal, &s.mu.stop, &s.mu.waiting} {
		if e := *slot; e != nil {
			*slot = nil
			return *e, true
		}
	}
	return api.LeadEvent{}, false
}

// Drained tells the agent that all work under token has ended, and waits until the agent
// has recorded it. Without a connection it returns at once: the agent waits for the
// deadline or the end of this process. If the agent has a warden, the warden is told instead.
func (s *Session) Drained(token uint64, then api.Then) {
	if s.isBooked(token, then) {
		s.forgetProofs()
	} else {
		s.reportGone()
	}
}

// isBooked tells the agent of a drain, and reports whether the agent has recorded it.
func (s *Session) isBooked(token uint64, then api.Then) bool {
	conn := s.sayDrained(token, then)
	if conn == nil {
		return false
	}
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	for {
		s.mu.Lock()
		booked := conn.drains == 0
		s.mu.Unlock()
		if booked {
			return true
		}
		select {
		case <-conn.echoed:
		case <-conn.over:
			return false
		case <-timer.C:
			return false
		}
	}
}

// sayDrained returns the connection that took the line; nil: none did.
func (s *Session) sayDrained(token uint64, then api.Then) *conversation {
	s.speaking.Lock()
	defer s.speaking.Unlock()
	s.mu.Lock()
	s.mu.drained, s.mu.late = token, 0
	if s.mu.token <= token {
		s.mu.token = 0
	}
	for _, slot := range []**api.LeadEvent{&s.mu.renewal, &s.mu.stop} {
		if e := *slot; e != nil && e.Token <= token {
			*slot = nil // a later period's stays
		}
	}
	conn := s.mu.conn
	if conn != nil {
		conn.drains++
	}
	s.mu.Unlock()
	if conn == nil || !conn.say(api.LeadRequest{Drained: token, StepDown: then == api.ThenStepDown, Leave: then == api.ThenLeave}) {
		return nil
	}
	return conn
}

// Advance has the agent raise the election's mark, in the goose period of token.
func (s *Session) Advance(ctx context.Context, token, to uint64) error {
	_, err := s.c.Advance(ctx, api.MarkRequest{Advance: to, Token: token})
	return err
}

// Late tells the agent that work under token runs past its deadline.
func (s *Session) Late(token uint64) {
	s.speaking.Lock()
	defer s.speaking.Unlock()
	s.mu.Lock()
	s.mu.late = token
	conn := s.mu.conn
	s.mu.Unlock()
	if conn != nil {
		conn.say(api.LeadRequest{Late: token})
	}
}

// Refusal returns why the agent has refused the session; nil: it has not. It is valid
// once Done is closed.
func (s *Session) Refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.refused
}

// Close ends the session, and returns when its goroutines have ended. A deadline that
// was not drained binds the agent until it passes, or until this process has ended. A
// second call does nothing.
func (s *Session) Close() {
	s.cancel()
	s.ended.Wait()
}

var _ lead.Session = (*Session)(nil)
