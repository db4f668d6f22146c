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
	// hostMost bounds what the streams with one host make this agent hold: request
	// and answer, sealed and decoded. The states of two flocks of 5,000 fit.
	hostMost = 16 << 20
	// inflowMost bounds the same of all streams together.
	inflowMost = 32 << 20
)

var errStreamEvicted = errors.New("stream closed: too many at once, and its host has the most")

// inflow holds the streams, and bounds the memory that they can take. When there
// is too much, a stream of the host that has the most is closed, so that a hostile
// host only harms itself.
type inflow struct {
	counts *meters.Counters
	quiet  *quietlog.Log

	mu struct { // guards what follows, and held and gone of all streams
		sync.Mutex
		open []*stream // the oldest first
		held int       // by all of them, in bytes
	}
}

// take adds a stream. When too many were accepted, another one is closed.
func (in *inflow) take(s *stream) {
	in.mu.Lock()
	in.mu.open = append(in.mu.open, s)
	accepted := 0
	for _, s := range in.mu.open {
		accepted += s.place()
	}
	var victim *stream
	if accepted > streamsMost {
		victim = in.worst((*stream).place)
		in.remove(victim)
	}
	in.mu.Unlock()
	in.evict(victim, "full")
}

// place is 1 for a stream that another agent opened: those are limited.
func (s *stream) place() int {
	if s.to == "" {
		return 1
	}
	return 0
}

func (s *stream) bytes() int { return s.held }

// grow adds n bytes to what a stream makes this agent hold.
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
		victim = in.worst((*stream).bytes)
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
func (in *inflow) worst(of func(*stream) int) *stream {
	sums := make(map[netip.Prefix]int, len(in.mu.open))
	most := 0
	for _, s := range in.mu.open {
		sums[s.host] += of(s)
		most = max(most, sums[s.host])
	}
	var worst *stream
	for _, s := range in.mu.open {
		if sums[s.host] == most && (worst == nil || of(s) > of(worst)) {
			worst = s
		}
	}
	return worst
}

// leave forgets a stream that is being closed.
func (in *inflow) leave(s *stream) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.remove(s)
}

// remove forgets a stream. mu is held.
func (in *inflow) remove(s *stream) {
	if s.gone {
		return
	}
	s.gone = true
	in.mu.held -= s.held
	in.mu.open = slices.DeleteFunc(in.mu.open, func(o *stream) bool { return o == s })
}

// evict closes a stream, if any, and counts why.
func (in *inflow) evict(s *stream, reason string) {
	if s == nil {
		return
	}
	in.counts.Of("dropped_stream_" + reason).Add(1)
	in.quiet.Warn("stream "+reason+" "+s.host.String(), "a stream was closed", "from", s.host, "reason", reason)
	_ = s.Conn.Close() // its reader sees that, and cleans up
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
