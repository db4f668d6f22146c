package agent

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
	// streamMost bounds what one stream brings, or makes memberlist allocate: the
	// state of a flock of about 1500 agents.
	streamMost = 1 << 20
	// inflowMost bounds the same of all accepted streams together.
	inflowMost = 8 << 20
)

var (
	errStreamLarge   = errors.New("stream brings more than an agent has to say")
	errStreamEvicted = errors.New("stream closed: too many at once, and its host has the most")
)

// inflow holds the accepted streams, and bounds what they can make this agent
// hold: memberlist alone would take 20 MiB or a million members from each of any
// number. Where there is too much, a stream of the host that has the most goes,
// so that a hostile one is in its own way and not in the others'.
type inflow struct {
	counts *meters.Counters
	quiet  *quietlog.Log

	mu struct { // guards what follows, and the fields of all accepted
		sync.Mutex
		open []*accepted // the oldest first
		held int         // by all of them, in bytes
	}
}

// accepted is a stream that another agent opened, or whoever says so.
type accepted struct {
	tracked
	in     *inflow
	host   netip.Prefix
	guard  guard
	judged bool // its reader's own

	held int  // bytes that came, and that were announced
	gone bool // closed, or about to be
}

// take takes a stream in; another goes for it when there are too many.
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

// grow books n more bytes that a stream has this agent hold.
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

// worst finds the stream that has most of something, the oldest of several, of
// the host that has most of it. mu is held.
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

// evict breaks a stream, if any, and counts why.
func (in *inflow) evict(s *accepted, reason string) {
	if s == nil {
		return
	}
	in.counts.Of("dropped_stream_" + reason).Add(1)
	in.quiet.Warn("stream "+reason+" "+s.host.String(), "a stream was closed", "from", s.host, "reason", reason)
	_ = s.Conn.Close() // its reader sees that, and closes the rest
}

func (s *accepted) Read(b []byte) (int, error) {
	n, err := s.guard.Read(b)
	if reason := unfit(err); reason != "" && !s.judged {
		s.judged = true
		s.in.evict(s, reason)
	}
	return n, err
}

// Close is memberlist's.
func (s *accepted) Close() error {
	s.in.mu.Lock()
	s.in.remove(s)
	s.in.mu.Unlock()
	return s.tracked.Close()
}

// unfit says by which fault of its content a stream ends, if by any.
func unfit(err error) (reason string) {
	switch {
	case errors.Is(err, errStreamLarge):
		return "large"
	case errors.Is(err, errStreamMalformed):
		return "malformed"
	}
	return ""
}

// hostPrefix is whom an address is counted to: an IPv6 host may have a network.
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
