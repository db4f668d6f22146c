package client

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/internal/warden"
)

const (
	// lostRetry is the first pause after a connection is lost to an agent that has a warden:
	// if the agent has died, every moment counts.
	lostRetry = time.Millisecond
	// proofsMost bounds the connections that a session answers for. A warden that does not
	// hear of one sends no will.
	proofsMost = 16
)

// proof is sent to a warden when nothing acts by what came over one connection from then
// on. A connection is dead before its proof is given.
type proof struct {
	path string // "": there is no warden
	word uint64
}

// proofOf reads the header of an answer.
func proofOf(header string) proof {
	word, path, _ := strings.Cut(header, " ")
	n, err := strconv.ParseUint(word, 16, 64)
	if err != nil {
		return proof{}
	}
	return proof{path, n}
}

// keep adds the proof of a new connection; mu is held.
func (s *Session) keep(p proof) {
	if p.path == "" {
		return
	}
	if len(s.mu.proofs) == proofsMost {
		s.mu.proofs = s.mu.proofs[1:]
	}
	s.mu.proofs = append(s.mu.proofs, p)
}

// forgetProofs drops those of former connections: the agent lives, and has recorded that
// nothing acts by what came over them.
func (s *Session) forgetProofs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.mu.conn
	s.mu.proofs = slices.DeleteFunc(s.mu.proofs, func(p proof) bool { return conn == nil || p != conn.proof })
}

// lose ends the work: the agent has died, and its last will waits for this session.
func (s *Session) lose() {
	s.mu.Lock()
	token := s.mu.token
	if token != 0 {
		s.mu.stop = &api.LeadEvent{Token: token, Stop: api.StopLost}
	}
	s.mu.Unlock()
	if token != 0 {
		s.wake()
	} else {
		s.reportGone()
	}
}

// reportGone tells the agents' wardens that nothing acts by any deadline of this session, if
// that is so.
func (s *Session) reportGone() {
	s.mu.Lock()
	if s.mu.token != 0 || s.mu.late != 0 || len(s.mu.proofs) == 0 {
		s.mu.Unlock()
		return
	}
	proofs, conn := s.mu.proofs, s.mu.conn
	s.mu.proofs = nil
	if conn != nil {
		conn.dead = true // nobody acts on deadlines that still arrive
	}
	s.mu.Unlock()
	if conn != nil {
		conn.cancel()
	}
	for _, p := range proofs {
		warden.ReportGone(p.path, p.word)
	}
}

// isAbsent reports whether nothing listens at an agent's socket.
func isAbsent(err error) bool {
	var nobody *unreachable
	return errors.As(err, &nobody) && nobody.absent
}
