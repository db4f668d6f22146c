package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	// ClockHeader of the answer to POST /v1/lead is the agent's boot clock, in
	// nanoseconds, at that moment. A holder that does not read the same clock
	// (another time namespace, a system without CLOCK_BOOTTIME) counts from it.
	ClockHeader = "Ddgoose-Boottime-Ns"
	// HeirsQuery in the query of POST /v1/lead, with the value true, says that
	// somebody else ends the holder's work when its process dies, a moment later:
	// its death alone does not drain it then, but the deadline does.
	HeirsQuery = "heirs"
	// GraceQuery in the query of POST /v1/lead is how long the holder's work may
	// take to end when the end is planned: a Go duration, at most MaxGrace.
	GraceQuery = "grace"
	// ShareQuery in the query of POST /v1/lead, with the value true, lets a holder
	// with heirs work beside others of its kind. Without it they work one at a time.
	ShareQuery = "share"
	// MaxGrace is the longest that a planned hand-over waits for work to end.
	MaxGrace = time.Hour
	// maxLine bounds what a holder may write on one line.
	maxLine = 4 << 10
	// maxEchoes bounds the drains that a holder says without reading their echoes.
	maxEchoes = 64
	// lastWords is how long a session whose holder has died, or broken the
	// rules, stays open for what is still on its way.
	lastWords = 200 * time.Millisecond
)

// session is one holder's POST /v1/lead:
//
//	         Ready            line "late"
//	 Next ─────────> write    ──────────> Late
//	(handed = token)          line "drained"
//	                          ──────────> Drained, then write its echo
//
// One lock covers taking a deadline and booking a drain, and one goroutine
// writes, so a deadline taken before the drain is on the wire before its echo.
type session struct {
	h      *handler
	holder Holder
	proc   *process
	heirs  bool // see HeirsQuery
	w      http.ResponseWriter
	rc     *http.ResponseController

	mu struct { // guards what follows
		sync.Mutex
		handed uint64 // not drained; 0: none
		until  time.Duration
		echoes []uint64
		fault  error
	}
	wake   chan struct{} // capacity 1: an echo waits
	closed chan struct{} // the holder's lines have ended
}

// lead serves a holder's session until its connection ends. The holder counts
// as drained when it has said so; otherwise see handler.outlive.
func (h *handler) lead(e ElectionBackend, w http.ResponseWriter, r *http.Request) error {
	q, err := parseLeadQuery(r.URL.RawQuery)
	if err != nil {
		expectNoMore(w)
		return err
	}
	p := callerOf(r)
	proc := p.watch()
	// Nobody reads the request meanwhile, so its own context does not end with
	// the connection.
	ctx, stop := h.whileOpen(r.Context())
	holder, err := e.Lead(ctx, LeadPeer{PID: p.pid, UID: p.uid, Grace: q.grace, Alone: q.heirs && !q.share})
	stop()
	if err != nil {
		proc.close()
		expectNoMore(w)
		return err
	}
	s := &session{
		h: h, holder: holder, proc: proc, heirs: q.heirs, w: w, rc: http.NewResponseController(w),
		wake: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	s.converse(r)
	h.linger.Add(1)
	go func() {
		defer h.linger.Done()
		h.outlive(s)
	}()
	return nil
}

// leadQuery is what a holder says of itself.
type leadQuery struct {
	heirs, share bool
	grace        time.Duration
}

func parseLeadQuery(raw string) (q leadQuery, err error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return q, Input("query %.80q: %v", raw, err)
	}
	for name, values := range query {
		switch value := values[0]; {
		case len(values) == 1 && name == HeirsQuery && (value == "true" || value == "false"):
			q.heirs = value == "true"
		case len(values) == 1 && name == ShareQuery && (value == "true" || value == "false"):
			q.share = value == "true"
		case len(values) == 1 && name == GraceQuery:
			if q.grace, err = time.ParseDuration(value); err != nil || q.grace <= 0 || q.grace > MaxGrace {
				return q, Input("query: grace %.40q: want a duration above 0 and of %v at the most, such as 20s", value, MaxGrace)
			}
		default:
			return q, Input("query %.80q: want none, heirs=true, share=true or grace=20s", raw)
		}
	}
	return q, nil
}

// converse runs the session until either end is gone.
func (s *session) converse(r *http.Request) {
	var wg, cut sync.WaitGroup
	done := make(chan struct{})
	defer wg.Wait()
	defer expectNoMore(s.w) // wakes the reader
	defer cut.Wait()        // else it might give the reader time again
	defer close(done)

	if s.rc.EnableFullDuplex() != nil {
		return // not a connection that can do it
	}
	s.w.Header().Set("Content-Type", "application/x-ndjson")
	s.w.Header().Set("Connection", "close")
	s.w.Header().Set(ClockHeader, strconv.FormatInt(int64(s.h.clock()), 10))
	if s.rc.Flush() != nil {
		return
	}
	wg.Go(func() {
		defer close(s.closed)
		s.readLines(bufio.NewScanner(r.Body))
	})
	cut.Go(func() { s.cutWhenOver(done) })
	s.writeLines()
}

// cutWhenOver ends reads and writes that nobody answers any more.
func (s *session) cutWhenOver(done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-s.closed:
	case <-s.proc.gone:
	case <-s.h.closing:
	case <-s.holder.Done():
	}
	soon := time.Now().Add(lastWords)
	_ = s.rc.SetReadDeadline(soon) // a connection that has no deadline is closed already
	_ = s.rc.SetWriteDeadline(soon)
}

// writeLines streams to the holder until its lines end or the agent goes.
func (s *session) writeLines() {
	lines := json.NewEncoder(s.w)
	for {
		e, ok := s.next()
		if ok {
			if lines.Encode(e) != nil || s.rc.Flush() != nil {
				return
			}
			continue
		}
		select {
		case <-s.holder.Ready():
		case <-s.wake:
		case <-s.closed:
			s.finish(lines)
			return
		case <-s.h.closing:
			return
		case <-s.holder.Done():
			for e, ok := s.next(); ok; e, ok = s.next() {
				_ = lines.Encode(e) // the agent's last words; the session ends either way
			}
			return
		}
	}
}

// finish echoes what was drained last, and names the line that ended the session.
func (s *session) finish(lines *json.Encoder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, token := range s.mu.echoes {
		_ = lines.Encode(LeadEvent{Drained: token}) // the holder may have gone with its last word
	}
	if s.mu.fault != nil {
		_ = lines.Encode(ErrorOf(s.mu.fault))
	}
}

// next takes the next line for the holder: echoes first, then what the agent has.
func (s *session) next() (LeadEvent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.echoes) > 0 {
		token := s.mu.echoes[0]
		s.mu.echoes = s.mu.echoes[1:]
		return LeadEvent{Drained: token}, true
	}
	e, ok := s.holder.Next()
	if ok && e.Until != 0 {
		s.mu.handed, s.mu.until = e.Token, time.Duration(e.Until)
	}
	return e, ok
}

// readLines hears the holder until its connection ends or it breaks the rules.
func (s *session) readLines(lines *bufio.Scanner) {
	lines.Buffer(make([]byte, 0, 256), maxLine)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		req, err := parseLeadRequest(lines.Bytes())
		if err != nil {
			s.fail(err)
			return
		}
		if err := s.hear(req); err != nil {
			s.fail(err)
			return
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		s.fail(Input("a line is over %d bytes", maxLine))
	}
}

func parseLeadRequest(line []byte) (req LeadRequest, err error) {
	if err := strict(line, &req); err != nil {
		return req, err
	}
	switch {
	case req.Drained == 0 && req.StepDown:
		return req, Input("field \"step_down\" goes with \"drained\": work must have ended first")
	case req.Drained == 0 && req.Late == 0:
		return req, Input("the line says nothing: want \"drained\" or \"late\" with a token")
	}
	return req, nil
}

func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.fault = err
}

func (s *session) hear(req LeadRequest) error {
	if req.Late != 0 {
		s.holder.Late(req.Late)
	}
	if req.Drained == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holder.Drained(req.Drained, req.StepDown)
	if s.mu.handed == req.Drained {
		s.mu.handed = 0
	}
	if len(s.mu.echoes) == maxEchoes {
		return Input("%d drains were said whose echoes were not read", maxEchoes)
	}
	s.mu.echoes = append(s.mu.echoes, req.Drained)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// outlive closes a holder whose connection is gone. One that was handed a
// deadline and did not drain may still act by it while its process lives, or
// its heirs have not ended the work.
func (h *handler) outlive(s *session) {
	defer s.proc.close()
	defer s.holder.Close()
	gone := s.proc.gone
	if s.heirs {
		gone = nil
	}
	for s.mu.handed != 0 { // nobody else is left to touch it
		left := s.mu.until - h.clock()
		if left <= 0 {
			return
		}
		// Timers stand still while the machine sleeps and the boot clock does not: look often.
		timer := time.NewTimer(min(left, 50*time.Millisecond))
		select {
		case <-timer.C:
		case <-gone:
			timer.Stop()
			return
		case <-h.closing:
			timer.Stop()
			return
		}
	}
}
