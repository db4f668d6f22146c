package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// drainTime bounds how long a drain waits for the agent to have booked it, so
// that a process that ends next does not take its last word along.
const drainTime = time.Second

// HoldOptions say how a session is held.
type HoldOptions struct {
	// Heirs says that somebody else ends the work when this process dies, a
	// moment later: its death alone does not drain it, but the deadline does.
	Heirs bool
	// Share lets the work run beside that of other sessions with Heirs; otherwise
	// the agent lets them work one at a time.
	Share bool
	// Grace is how long the work may take to end when the end is planned, at most
	// [api.MaxGrace]; 0: as long as the agent grants those that do not say.
	Grace time.Duration
}

// holdPath is where a session is opened.
func (c *Client) holdPath(o HoldOptions) string {
	query := url.Values{}
	if o.Heirs {
		query.Set(api.HeirsQuery, "true")
	}
	if o.Share {
		query.Set(api.ShareQuery, "true")
	}
	if o.Grace != 0 {
		query.Set(api.GraceQuery, o.Grace.String())
	}
	return strings.TrimSuffix(c.path("/lead")+"?"+query.Encode(), "?")
}

// Session is a holder's session over connections that may come and go. What
// the agent says waits in a mailbox: the newest deadline and the newest stop.
// Its methods may be called from many goroutines.
type Session struct {
	c      *Client
	path   string
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	ready  chan struct{} // capacity 1
	done   chan struct{} // closed when no connection will follow
	ended  sync.WaitGroup

	// speaking is held from deciding what to say until it is said, and taken
	// before mu: the agent must not hear of a drain and then of the late work
	// that it ended.
	speaking sync.Mutex

	mu struct { // guards what follows
		sync.Mutex
		conn    *conversation // nil while there is none
		renewal *api.LeadEvent
		stop    *api.LeadEvent
		late    uint64 // reported and not drained: a new connection hears of it first
		drained uint64 // said last: until its echo the agent may still speak of what it is no longer bound by
		refused error
	}
}

// conversation is one connection of a session.
type conversation struct {
	resp   *http.Response
	lines  *io.PipeWriter
	shift  time.Duration      // from the agent's clock to ours
	cancel context.CancelFunc // closes lines, too
	drains int                // said, and not echoed yet: the session's lock guards it
	echoed chan struct{}      // capacity 1
	over   chan struct{}      // closed when the agent's lines have ended
}

// Hold opens a holder's session, for who supervises work itself; [Client.Lead]
// is the easy way. It fails at once (after c.Wait) when no agent answers, and
// when the agent refuses; after that it reconnects for ever. ctx bounds the
// opening only: Close ends the session.
func (c *Client) Hold(ctx context.Context, opts HoldOptions) (*Session, error) {
	s := newSession(c)
	s.path = c.holdPath(opts)
	if err := s.begin(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func newSession(c *Client) *Session {
	s := &Session{c: c, path: c.holdPath(HoldOptions{}), ready: make(chan struct{}, 1), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// begin connects for the first time, and then keeps the session connected.
func (s *Session) begin(ctx context.Context) error {
	var conn *conversation
	err := s.c.retry(ctx, func() (err error) {
		conn, err = s.connect(ctx)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	s.ended.Go(func() { s.stay(conn) })
	return nil
}

// stay reconnects for ever, unless the agent refuses.
func (s *Session) stay(conn *conversation) {
	defer close(s.done)
	pause := firstRetry
	for {
		if conn != nil {
			pause = firstRetry
			s.converse(conn) // which ends at once when the session has
		}
		if !sleep(s.ctx, pause) {
			return
		}
		pause = min(2*pause, lastRetry)
		var err error
		conn, err = s.connect(s.ctx)
		if errors.Is(err, api.ErrInput) || errors.Is(err, api.ErrForbidden) || errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrMethod) {
			s.mu.Lock()
			s.mu.refused = err
			s.mu.Unlock()
			return
		}
	}
}

// connect opens POST /v1/lead. The connection belongs to the session: the end
// of ctx ends the attempt, and no more than that.
func (s *Session) connect(ctx context.Context) (*conversation, error) {
	own, cancel := context.WithCancel(s.ctx)
	stop := context.AfterFunc(ctx, cancel)
	r, w := io.Pipe()
	// Package http does not give a request up before what reads its body has
	// ended, and that waits for us: an agent that hangs would hold us for ever.
	context.AfterFunc(own, func() { _ = w.CloseWithError(io.ErrClosedPipe) })
	before := boottime.Now()
	resp, err := s.c.open(own, http.MethodPost, s.path, r)
	if !stop() && err == nil && ctx != s.ctx {
		resp.Body.Close()
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &conversation{
		resp: resp, lines: w, cancel: cancel, shift: shift(resp.Header.Get(api.ClockHeader), before, boottime.Now()),
		echoed: make(chan struct{}, 1), over: make(chan struct{}),
	}, nil
}

// shift turns the agent's deadlines into our clock's. When the clocks are one, the
// agent read it between before and after. Otherwise it read it after before,
// so counting from there can only make deadlines earlier.
func shift(agents string, before, after time.Duration) time.Duration {
	ns, err := strconv.ParseInt(agents, 10, 64)
	if at := time.Duration(ns); err == nil && (at < before || at > after) {
		return before - at
	}
	return 0
}

// converse hears the agent until the connection ends. Nothing is told then: the
// deadline that was handed out last goes on running.
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
	}
}

// attach makes conn the session's, and tells it of work that is late still.
func (s *Session) attach(conn *conversation) {
	s.speaking.Lock()
	defer s.speaking.Unlock()
	s.mu.Lock()
	s.mu.conn = conn
	late := s.mu.late
	s.mu.Unlock()
	if late != 0 {
		conn.say(api.LeadRequest{Late: late})
	}
}

// hear puts what the agent says into the mailbox. Between a drain and its echo
// the agent says what it is no longer bound by.
func (s *Session) hear(conn *conversation, e api.LeadEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
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
		s.mu.renewal = &e
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Ready gets a value when Next may have something.
func (s *Session) Ready() <-chan struct{} { return s.ready }

// Done is closed when no connection will follow: the agent has refused the
// session, or Close was called.
func (s *Session) Done() <-chan struct{} { return s.done }

// Next takes the newest deadline, then the newest stop.
func (s *Session) Next() (api.LeadEvent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range []**api.LeadEvent{&s.mu.renewal, &s.mu.stop} {
		if e := *slot; e != nil {
			*slot = nil
			return *e, true
		}
	}
	return api.LeadEvent{}, false
}

// Drained tells the agent that all work under token has ended, and waits until
// it has booked that. Without a connection there is nobody to tell: the
// agent waits for the deadline or the end of this process.
func (s *Session) Drained(token uint64, stepDown bool) {
	conn := s.sayDrained(token, stepDown)
	if conn == nil {
		return
	}
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	for {
		s.mu.Lock()
		booked := conn.drains == 0
		s.mu.Unlock()
		if booked {
			return
		}
		select {
		case <-conn.echoed:
		case <-conn.over:
			return
		case <-timer.C:
			return
		}
	}
}

// sayDrained gives the connection that took it; nil: none.
func (s *Session) sayDrained(token uint64, stepDown bool) *conversation {
	s.speaking.Lock()
	defer s.speaking.Unlock()
	s.mu.Lock()
	s.mu.drained, s.mu.late = token, 0
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
	if conn == nil || !conn.say(api.LeadRequest{Drained: token, StepDown: stepDown}) {
		return nil
	}
	return conn
}

// Late tells the agent that work under token goes on past its deadline.
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

// Refusal is why the agent has refused the session, once Done is closed by
// that; nil: it has not.
func (s *Session) Refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.refused
}

// Close ends the session, and returns when its goroutines have ended. What was
// handed out and not drained binds the agent until its deadline, or until this
// process is gone. It is safe to call twice.
func (s *Session) Close() {
	s.cancel()
	s.ended.Wait()
}

// say writes one line to the agent, and tells whether the connection took it.
// One that does not take it in time, because the agent hangs, is given up:
// whoever supervises work must not hang with it.
func (c *conversation) say(req api.LeadRequest) bool {
	line, err := json.Marshal(req)
	if err != nil {
		return false
	}
	hangs := time.AfterFunc(drainTime, c.cancel)
	defer hangs.Stop()
	_, err = c.lines.Write(append(line, '\n'))
	return err == nil
}

// Lead waits, and calls work each time the agent is the goose, never twice at
// once. work's context is a child of ctx and ends when work must, and
// context.Cause says why: [lead.ErrLeaseLost] (40 % of the lease are left and it
// was not renewed), [lead.ErrSteppedDown] or [lead.ErrStopped] (the lease is
// renewed meanwhile, up to the agent's --grace).
//
// When work returns after such a cancel, Lead waits for the next time. When
// it returns by itself the agent steps down, and Lead returns its error. When
// ctx ends Lead waits for work, has the agent step down, and returns
// ctx.Err(). A panic in work goes on after the step-down was asked for.
//
// Lead fails at once (after c.Wait) when no agent answers, and when the agent
// refuses. After that it reconnects for ever: while the agent is away work
// goes on for as long as the clock allows.
//
// The agent counts work as ended when Lead has said so or this process is gone.
func (c *Client) Lead(ctx context.Context, work func(context.Context, lead.Lease) error) error {
	s, err := c.Hold(ctx, HoldOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	err = lead.Run(ctx, s, boottime.Now, work)
	if refused := s.Refusal(); refused != nil && errors.Is(err, lead.ErrStopped) {
		return refused
	}
	return err
}

var _ lead.Session = (*Session)(nil)
