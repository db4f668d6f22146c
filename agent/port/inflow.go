package port

import (
	"errors"
	"net/netip"
	"slices"
	"sync"

	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/quietlog"
)

const (
	// streamsMost bounds the accepted streams that are open at once and have not sent all
	// of their request. wholeMost bounds the others, most of which wait for their turn: all
	// agents of a large flock may join at once. So many have their turns within turnWait.
	streamsMost = 64
	wholeMost   = 640
	// hostMost bounds the memory that all streams with one host use: request and answer,
	// sealed and decoded. The states of two flocks of 5,000 agents fit.
	hostMost = 16 << 20
	// inflowMost bounds the memory that all streams use.
	inflowMost = 32 << 20
)

var errStreamEvicted = errors.New("stream closed: too many streams or too much memory, and its host uses the most")

// inflow bounds the memory of all streams. If they need too much, it closes a stream of
// the host that uses the most, so that a hostile host only harms itself.
type inflow struct {
	counts *meters.Counters
	quiet  *quietlog.Log

	mu struct { // guards what follows, and held and gone of all streams
		sync.Mutex
		open []*stream // the oldest first
		held int       // by all of them, in bytes
	}
}

// take adds a stream. If too many were accepted, it closes one.
func (in *inflow) take(s *stream) {
	in.mu.Lock()
	in.mu.open = append(in.mu.open, s)
	accepted := 0
	for _, s := range in.mu.open {
		accepted += s.place()
	}
	var victim *stream
	if accepted > streamsMost {
		victim = in.worst((*stream).place, false)
		in.remove(victim)
	}
	in.mu.Unlock()
	in.evict(victim, "full")
}

// place is 1 for an accepted stream whose request is not complete, else 0.
func (s *stream) place() int {
	if s.to == "" && !s.whole {
		return 1
	}
	return 0
}

func (s *stream) bytes() int { return s.held }

// grow adds n bytes to a stream's memory.
func (in *inflow) grow(s *stream, n int) error {
	in.mu.Lock()
	if s.gone {
		in.mu.Unlock()
		return errStreamEvicted
	}
	s.held += n
	in.mu.held += n
	of := 0
	for _, o := range in.mu.open {
		if o.host == s.host {
			of += o.held
		}
	}
	var victim *stream
	if of > hostMost || in.mu.held > inflowMost {
		victim = in.worst((*stream).bytes, false)
		in.remove(victim)
	}
	in.mu.Unlock()
	in.evict(victim, "memory")
	if victim == s {
		return errStreamEvicted
	}
	return nil
}

// complete records that a stream's request is complete and waits for its turn. If too
// many streams wait, it closes the newest one of the host that has the most.
func (in *inflow) complete(s *stream) {
	in.mu.Lock()
	s.whole = true
	whole := 0
	for _, o := range in.mu.open {
		whole += o.waits()
	}
	var victim *stream
	if whole > wholeMost {
		victim = in.worst((*stream).waits, true)
		in.remove(victim)
	}
	in.mu.Unlock()
	in.evict(victim, "full")
}

// waits is 1 for an accepted stream whose request is complete, else 0.
func (s *stream) waits() int {
	if s.whole {
		return 1
	}
	return 0
}

// worst finds the host whose streams have the highest sum of the value of, and returns
// its stream with the highest value; among equal ones the oldest, or the newest. mu is held.
func (in *inflow) worst(of func(*stream) int, newest bool) *stream {
	sums := make(map[netip.Prefix]int, len(in.mu.open))
	most := 0
	for _, s := range in.mu.open {
		sums[s.host] += of(s)
		most = max(most, sums[s.host])
	}
	var worst *stream
	for _, s := range in.mu.open {
		if sums[s.host] == most && (worst == nil || of(s) > of(worst) || newest && of(s) == of(worst)) {
			worst = s
		}
	}
	return worst
}

// evicted reports whether a stream has been closed to make room.
func (in *inflow) evicted(s *stream) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return s.gone
}

// leave forgets a stream that is about to close.
func (in *inflow) leave(s *stream) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.remove(s)
}

// remove forgets a stream. The caller holds mu.
func (in *inflow) remove(s *stream) {
	if s.gone {
		return
	}
	s.gone = true
	in.mu.held -= s.held
	in.mu.open = slices.DeleteFunc(in.mu.open, func(o *stream) bool { return o == s })
}

// evict closes a stream, if there is one, and counts the reason.
func (in *inflow) evict(s *stream, reason string) {
	if s == nil {
		return
	}
	in.counts.Of("dropped_stream_" + reason).Add(1)
	in.quiet.Warn("stream "+reason+" "+s.host.String(), "a stream was closed", "from", s.host, "reason", reason)
	_ = s.Conn.Close() // its reader notices, and cleans up
}
