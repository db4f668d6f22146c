package api

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// ClockHeader of the answer to POST /v1/lead has the agent's boot clock at that
	// moment, in nanoseconds. A holder with another clock (another time namespace, no
	// CLOCK_BOOTTIME) counts from it.
	ClockHeader = "Ddgoose-Boottime-Ns"
	// WardenHeader of the answer to POST /v1/lead is there if the agent has a warden: "PROOF
	// PATH". When the agent has died and nothing acts by what came over this connection, the
	// holder sends the datagram PROOF, 16 hexadecimal digits, to the unix
	// socket PATH. Then the others elect at once.
	WardenHeader = "Ddgoose-Warden"
	// maxLine bounds one line of a holder.
	maxLine = 4 << 10
	// maxEchoes bounds how many drains a holder may send without reading their echoes.
	maxEchoes = 64
	// lastWords is how long a session stays open for lines on their way, after its holder
	// has died or broken the rules.
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

// lead serves a holder's session until its connection ends. A holder that said so is
// drained; for others see handler.outlive.
func (h *handler) lead(e ElectionBackend, w http.ResponseWriter, r *http.Request) error {
	q, err := parseLeadQuery(r.URL.RawQuery)
	if err != nil {
		expectNoMore(w)
		return err
	}
	p := callerOf(r)
	proc := p.watch()
	// Nothing reads the request meanwhile, so its own context does not end with the
	// connection.
	ctx, stop := h.whileOpen(r.Context())
	peer := LeadPeer{PID: p.pid, UID: p.uid, Grace: q.grace, Work: cmp.Or(q.work, q.kind), Ends: q.ends, Acks: q.acks, Cgroup: q.cgroup}
	if q.heirs && !q.share {
		peer.Alone = cmp.Or(q.kind, DefaultKind)
	}
	holder, err := e.Lead(ctx, peer)
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

// converse runs the session until one end is gone.
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
	if path, proof := s.holder.Warden(); path != "" {
		s.w.Header().Set(WardenHeader, fmt.Sprintf("%016x %s", proof, path))
	}
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

// cutWhenOver ends reads and writes when the session is over.
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

// writeLines sends lines to the holder until they end or the agent ends.
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

// finish echoes the last drain, and reports the line that ended the session.
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

// next returns the next line for the holder: echoes first, then the agent's events.
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

// readLines reads the holder's lines until its connection ends or it breaks the rules.
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
		s.fail(Input("a line is longer than %d bytes", maxLine))
	}
}

func parseLeadRequest(line []byte) (req LeadRequest, err error) {
	if err := strict(line, &req); err != nil {
		return req, err
	}
	switch {
	case req.Drained == 0 && (req.StepDown || req.Leave):
		return req, Input("fields \"step_down\" and \"leave\" need \"drained\" too: work must have ended first")
	case req.StepDown && req.Leave:
		return req, Input("want \"step_down\" or \"leave\", not both")
	case req.Drained == 0 && req.Late == 0 && req.Heard == 0:
		return req, Input("the line is empty: want \"drained\", \"late\" or \"heard\" with a token")
	}
	return req, nil
}

func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.fault = err
}

func (s *session) hear(req LeadRequest) error {
	if req.Heard != 0 {
		s.holder.Answered()
	}
	if req.Late != 0 {
		s.holder.Late(req.Late)
	}
	if req.Drained == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	then := ThenWait
	switch {
	case req.StepDown:
		then = ThenStepDown
	case req.Leave:
		then = ThenLeave
	}
	s.holder.Drained(req.Drained, then)
	if s.mu.handed == req.Drained {
		s.mu.handed = 0
	}
	if len(s.mu.echoes) == maxEchoes {
		return Input("%d drains were sent, and their echoes were not read", maxEchoes)
	}
	s.mu.echoes = append(s.mu.echoes, req.Drained)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// outlive closes a holder whose connection is gone. If it has a deadline and did not
// drain, it may still act: the agent waits for the deadline, or until its process has
// ended and its heirs have ended the work.
func (h *handler) outlive(s *session) {
	defer s.proc.close()
	defer s.holder.Close()
	gone := s.proc.gone
	if s.heirs {
		gone = nil
	}
	for s.mu.handed != 0 { // no other goroutine uses it now
		left := s.mu.until - h.clock()
		if left <= 0 {
			select {
			case <-s.proc.gone:
				s.holder.Died()
			default: // it acts by the deadlines of another connection, perhaps
			}
			return
		}
		// Timers stop while the machine sleeps and the boot clock does not: look often.
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
