package netem

import "time"

// MaxLinks bounds the links that an Emulator remembers. When there are more, it
// forgets the oldest, which starts again from the seed when it is next used.
const MaxLinks = 4096

// Verdict is what happens to one packet. The zero Verdict lets it pass at once.
type Verdict struct {
	Drop  bool          // it does not arrive; nothing else is set
	Delay time.Duration // it goes this much later
	// Duplicate: a second copy goes, DuplicateDelay later than now.
	Duplicate      bool
	DuplicateDelay time.Duration
	// Corrupt: bit Bit of the packet, and of its duplicate, is flipped.
	Corrupt bool
	Bit     int
}

// Flip corrupts a packet in place, if the verdict says so.
func (v Verdict) Flip(b []byte) {
	if v.Corrupt {
		b[v.Bit/8] ^= 1 << (v.Bit % 8)
	}
}

// Counters says how often each fault occurred since the Emulator was made.
type Counters struct {
	Cut        uint64 // packets dropped by cut
	Lost       uint64 // packets dropped by loss
	Queue      uint64 // packets dropped by rate: they would have waited longer than MaxQueue
	Delayed    uint64 // packets delayed, by delay or rate
	Duplicated uint64
	Reordered  uint64 // packets that skipped their delay
	Corrupted  uint64
	DialsLost  uint64 // dials failed by loss
	WritesHeld uint64 // pieces of streams held, by delay or rate
}

// Emulator applies rules to the packets of one agent. Only one goroutine at a time
// may use it. The caller passes the time, which must not go backwards.
//
// Each link (a direction and a peer) has a random sequence of its own, so the same seed and
// packets give the same verdicts, whatever happens on other links. Give each agent
// its own seed: two agents with one seed lose the same packets of a third.
type Emulator struct {
	seed     uint64
	rules    Rules
	list     []rule
	links    map[linkKey]*link
	met      []linkKey // in the order they were met; a ring once full
	oldest   int
	counters Counters
}

// New returns an Emulator without rules.
func New(seed uint64) *Emulator {
	return &Emulator{seed: seed, links: make(map[linkKey]*link)}
}

// Seed returns the seed that New was given.
func (e *Emulator) Seed() uint64 { return e.seed }

// Rules returns the rules in force.
func (e *Emulator) Rules() Rules { return e.rules }

// Counters returns what was counted until now.
func (e *Emulator) Counters() Counters { return e.counters }

// Set replaces the rules. It empties queues and ends bursts of loss. The random sequences continue.
func (e *Emulator) Set(r Rules) {
	e.rules, e.list = r, r.compile()
	for _, l := range e.links {
		l.forget()
	}
}

// Packet judges one packet of size bytes.
func (e *Emulator) Packet(now time.Duration, dir Direction, peer Peer, size int) Verdict {
	f, l := e.find(dir, peer)
	switch {
	case f == nil:
		return Verdict{}
	case f.has(kindCut):
		e.counters.Cut++
		return Verdict{Drop: true}
	case l.packets.lost(&f.loss):
		e.counters.Lost++
		return Verdict{Drop: true}
	}
	var v Verdict
	var ok bool
	if v.Delay, ok = e.delay(now, f, l, size); !ok {
		e.counters.Queue++
		return Verdict{Drop: true}
	}
	if l.packets.random.chance(f.duplicate) {
		if v.DuplicateDelay, v.Duplicate = e.delay(now, f, l, size); v.Duplicate {
			e.counters.Duplicated++
		}
	}
	if size > 0 && l.packets.random.chance(f.corrupt) {
		e.counters.Corrupted++
		v.Corrupt, v.Bit = true, int(l.packets.random.Uint64()%uint64(size*8))
	}
	return v
}

// delay returns the delay of one copy of a packet: its wait for the link's rate, and
// the delay of the rule. It returns false if the link's queue is full.
func (e *Emulator) delay(now time.Duration, f *faults, l *link, size int) (time.Duration, bool) {
	var wait, travel time.Duration
	if f.has(kindRate) {
		var ok bool
		if wait, ok = l.wait(now, f.rate, size, MaxQueue); !ok {
			return 0, false
		}
	}
	if f.has(kindDelay) {
		travel = l.packets.delay(&f.delay)
		if l.packets.random.chance(f.reorder) {
			e.counters.Reordered++
			travel = 0
		}
	}
	if wait+travel > 0 {
		e.counters.Delayed++
	}
	return wait + travel, true
}

// Cut reports whether a rule cuts this direction to or from the peer. It neither
// counts nor draws anything.
func (e *Emulator) Cut(dir Direction, peer Peer) bool {
	f := e.match(dir, &peer)
	return f != nil && f.has(kindCut)
}

// CutEither reports whether a rule cuts one of the directions: streams need both.
func (e *Emulator) CutEither(peer Peer) bool {
	return e.Cut(Out, peer) || e.Cut(In, peer)
}

// DialLost draws whether a new stream to the peer fails by loss, in either
// direction. For cuts see CutEither.
func (e *Emulator) DialLost(peer Peer) bool {
	for _, dir := range [...]Direction{Out, In} {
		if f, l := e.find(dir, peer); f != nil && l.streams.lost(&f.loss) {
			e.counters.DialsLost++
			return true
		}
	}
	return false
}

// StreamWrite returns how long a write of size bytes to a stream must wait, and how
// many of its bytes may then be sent; the caller asks again for the rest. The delay
// counts once per write: first is true for its first piece. Streams wait for their
// rate without a bound.
func (e *Emulator) StreamWrite(now time.Duration, peer Peer, size int, first bool) (hold time.Duration, n int) {
	f, l := e.find(Out, peer)
	if f == nil {
		return 0, size
	}
	n = size
	if f.has(kindRate) {
		n = min(size, streamPiece)
		hold, _ = l.wait(now, f.rate, n, 0)
	}
	if first && f.has(kindDelay) {
		hold += l.streams.delay(&f.delay)
	}
	if hold > 0 {
		e.counters.WritesHeld++
	}
	return hold, n
}

// match returns the faults of the first rule for a direction and a peer; nil: there
// is none. It makes the peer's address canonical.
func (e *Emulator) match(dir Direction, peer *Peer) *faults {
	if len(e.list) == 0 {
		return nil
	}
	peer.Addr = Canonical(peer.Addr)
	for i := range e.list {
		if e.list[i].matches(dir, *peer) {
			return &e.list[i].faults
		}
	}
	return nil
}

// find returns the faults and the state of a link.
func (e *Emulator) find(dir Direction, peer Peer) (*faults, *link) {
	f := e.match(dir, &peer)
	if f == nil {
		return nil, nil
	}
	k := keyOf(dir, peer)
	if l := e.links[k]; l != nil {
		return f, l
	}
	l := newLink(e.seed, k)
	if len(e.met) < MaxLinks {
		e.met = append(e.met, k)
	} else {
		delete(e.links, e.met[e.oldest])
		e.met[e.oldest] = k
		e.oldest = (e.oldest + 1) % MaxLinks
	}
	e.links[k] = l
	return f, l
}
