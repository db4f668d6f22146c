package port

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"

	"duckduckgoose/agent/meters"
	"duckduckgoose/agent/quietlog"
)

const (
	// streamsMost bounds the accepted streams that are open at once.
	streamsMost = 64
	// streamMost bounds what one stream brings, or makes memberlist allocate. The
	// state of about 1500 agents fits.
	streamMost = 1 << 20
	// inflowMost bounds the same of all accepted streams together.
	inflowMost = 8 << 20
)

var (
	errStreamLarge   = errors.New("stream brings more than an agent has to say")
	errStreamEvicted = errors.New("stream closed: too many at once, and its host has the most")
)

// inflow holds the accepted streams, and bounds the memory that they can take.
// memberlist alone would accept any number of them, each with 20 MiB or a
// million members. When there is too much, a stream of the host that has the
// most is closed, so that a hostile host only harms itself.
type inflow struct {
	counts *meters.Counters
	quiet  *quietlog.Log

	mu struct { // guards what follows, and the fields of all accepted
		sync.Mutex
		open []*accepted // the oldest first
		held int         // by all of them, in bytes
	}
}

// accepted is a stream that another agent opened, or somebody who claims to be one.
type accepted struct {
	tracked
	in     *inflow
	host   netip.Prefix
	guard  guard
	judged bool // its reader's own

	held int  // bytes that came, and that were announced
	gone bool // closed, or about to be
}

// take adds a stream. When there are too many, another one is closed.
func (in *inflow) take(s *accepted) {
	in.mu.Lock()
	in.mu.open = append(in.mu.open, s)
	var victim *accepted
	if len(in.mu.open) > streamsMost {
		victim = in.worst(func(*accepted) int { return 1 })
		in.remove(victim)
	}
	in.mu.Unlock()
	in.evict(victim, "full")
}

// grow adds n bytes to what a stream makes this agent hold.
func (in *inflow) grow(s *accepted, n int) error {
	in.mu.Lock()
	switch {
	case s.gone:
		in.mu.Unlock()
		return errStreamEvicted
	case s.held+n > streamMost:
		in.mu.Unlock()
		return errStreamLarge
	}
	s.held += n
	in.mu.held += n
	var victim *accepted
	if in.mu.held > inflowMost {
		victim = in.worst(func(s *accepted) int { return s.held })
		in.remove(victim)
	}
	in.mu.Unlock()
	in.evict(victim, "memory")
	if victim == s {
		return errStreamEvicted
	}
	return nil
}

// worst finds the host that has most of something, and gives its stream that has
// most of it; of several the oldest. mu is held.
func (in *inflow) worst(of func(*accepted) int) *accepted {
	sums := make(map[netip.Prefix]int, len(in.mu.open))
	most := 0
	for _, s := range in.mu.open {
		sums[s.host] += of(s)
		most = max(most, sums[s.host])
	}
	var worst *accepted
	for _, s := range in.mu.open {
		if sums[s.host] == most && (worst == nil || of(s) > of(worst)) {
			worst = s
		}
	}
	return worst
}

// remove forgets a stream. mu is held.
func (in *inflow) remove(s *accepted) {
	if s.gone {
		return
	}
	s.gone = true
	in.mu.held -= s.held
	in.mu.open = slices.DeleteFunc(in.mu.open, func(o *accepted) bool { return o == s })
}

// evict closes a stream, if any, and counts why.
func (in *inflow) evict(s *accepted, reason string) {
	if s == nil {
		return
	}
	in.counts.Of("dropped_stream_" + reason).Add(1)
	in.quiet.Warn("stream "+reason+" "+s.host.String(), "a stream was closed", "from", s.host, "reason", reason)
	_ = s.Conn.Close() // its reader sees that, and cleans up
}

func (s *accepted) Read(b []byte) (int, error) {
	n, err := s.guard.Read(b)
	if reason := unfit(err); reason != "" && !s.judged {
		s.judged = true
		s.in.evict(s, reason)
	}
	return n, err
}

// Close is called by memberlist.
func (s *accepted) Close() error {
	s.in.mu.Lock()
	s.in.remove(s)
	s.in.mu.Unlock()
	return s.tracked.Close()
}

// unfit names the fault of its content that ended a stream; "": none.
func unfit(err error) (reason string) {
	switch {
	case errors.Is(err, errStreamLarge):
		return "large"
	case errors.Is(err, errStreamMalformed):
		return "malformed"
	}
	return ""
}

// hostPrefix gives the host that an address counts for. An IPv6 host may own a
// whole network of 64 bits.
func hostPrefix(addr net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
