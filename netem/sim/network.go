package sim

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem"
	"duckduckgoose/wire"
)

const (
	// datagramBytes is the size of every datagram for fault rules.
	datagramBytes = 300
	// socketBuffer bounds the datagrams that wait for a process that does not read.
	socketBuffer = 256
	// askWait is how long a question on a stream waits for its answer.
	askWait = 2 * time.Second
	// recordedMost bounds the datagrams that an attacker keeps.
	recordedMost = 1000
)

// flight is a datagram on its way.
type flight struct {
	frame    wire.Frame
	from     *agent
	fromAddr netip.AddrPort
	to       netip.AddrPort
	judged   bool // the receiver's fault rules were applied
}

// carry copies a frame with the first n of its messages.
func (f *flight) carry(frame *wire.Frame, n int) {
	messages := append(f.frame.Messages[:0], frame.Messages[:n]...)
	f.frame = *frame
	f.frame.Messages = messages
	f.frame.Founding.Set = slices.Clone(frame.Founding.Set)
	for i := range messages {
		m := &messages[i]
		m.FlockID, m.From, m.To = frame.FlockID, frame.From, frame.To
		m.Start, m.Life, m.ToLife, m.Seq = frame.Start, frame.Life, frame.ToLife, frame.Seq
	}
}

// copied returns another datagram with the same content.
func (n *network) copied(f *flight) *flight {
	g := n.flight()
	g.carry(&f.frame, len(f.frame.Messages))
	g.from, g.fromAddr, g.to, g.judged = f.from, f.fromAddr, f.to, f.judged
	return g
}

// recorded is a datagram that an attacker has recorded.
type recorded struct {
	at time.Duration
	*flight
}

// network carries datagrams between machines. It has a base latency, slow and cut
// links, and the fault rules of sender and receiver.
type network struct {
	latency time.Duration // one way; each packet takes up to half of it longer
	random  netem.Random
	at      map[netip.AddrPort]*agent
	cut     [][]bool          // from, to: nothing passes
	slow    [][]time.Duration // from, to: added to latency
	free    []*flight
	version uint64
	part    []int          // the components of the graph of links that work both ways
	partOf  uint64         // the version for which part was computed
	lost    map[string]int // by cause, datagrams that did not arrive

	records  bool       // an attacker records
	recorded []recorded // the datagrams that reached its machine, the oldest first
}

func (n *network) flight() *flight {
	if k := len(n.free); k > 0 {
		f := n.free[k-1]
		n.free = n.free[:k-1]
		return f
	}
	return new(flight)
}

func (n *network) done(f *flight) {
	f.judged = false
	n.free = append(n.free, f)
}

// launch sends a datagram of an agent.
func (s *Sim) launch(f *flight) {
	f.fromAddr = f.from.addr
	s.route(f)
}

// route sends a datagram from a machine.
func (s *Sim) route(f *flight) {
	n := &s.net
	to := n.at[f.to]
	if to == nil {
		n.lost["address left"]++
		n.done(f)
		return
	}
	delay := n.latency + time.Duration(n.random.Uint64()%uint64(n.latency/2+1)) + n.slow[f.from.index][to.index]
	if n.cut[f.from.index][to.index] {
		n.lost["cut"]++
		n.done(f)
		return
	}
	if f.from.ruled {
		more, passes := s.judge(f.from.emulator.Packet(s.now, netem.Out, to.peerAt(to.addr), datagramBytes), to, delay, f)
		if !passes {
			return
		}
		delay += more
	}
	s.reach(to, delay, f)
}

// judge applies the verdict of fault rules to a datagram with this delay, and returns
// the additional delay.
func (s *Sim) judge(v netem.Verdict, to *agent, delay time.Duration, f *flight) (more time.Duration, passes bool) {
	n := &s.net
	switch {
	case v.Drop:
		n.lost["rules"]++
		n.done(f)
		return 0, false
	case v.Corrupt:
		n.lost["corrupt"]++ // the checksum of the copy is wrong, too
		n.done(f)
		return 0, false
	case v.Duplicate:
		s.reach(to, delay+v.DuplicateDelay, n.copied(f))
	}
	return v.Delay, true
}

// arrive delivers a datagram to a machine.
func (s *Sim) arrive(a *agent, f *flight) {
	n := &s.net
	if a.ruled && !f.judged {
		f.judged = true
		delay, passes := s.judge(a.emulator.Packet(s.now, netem.In, f.from.peerAt(f.fromAddr), datagramBytes), a, 0, f)
		if passes && delay > 0 {
			s.reach(a, delay, f)
		}
		if !passes || delay > 0 {
			return
		}
	}
	if n.records {
		n.record(recorded{s.now, n.copied(f)})
	}
	l := a.life
	switch {
	case n.at[f.to] != a || l == nil || a.asleep:
		n.lost["agent down"]++
	case a.stopped || s.now < l.busyUntil:
		if len(l.inbox) < socketBuffer {
			l.inbox = append(l.inbox, f)
			return
		}
		n.lost["socket full"]++
	default:
		l.inbox = append(l.inbox, f)
		l.turn(nil)
		return
	}
	n.done(f)
}

// record keeps a datagram for a replay.
func (n *network) record(r recorded) {
	if len(n.recorded) >= recordedMost {
		n.done(n.recorded[0].flight)
		n.recorded = n.recorded[1:]
	}
	n.recorded = append(n.recorded, r)
}

// replay delivers again what reached an agent within a time, from the same addresses.
func (s *Sim) replay(a *agent, last time.Duration) bool {
	again := false
	for _, r := range s.net.recorded {
		if age := s.now - r.at; age <= last && r.frame.To == a.id {
			f := s.net.copied(r.flight)
			f.to, f.judged, again = a.addr, true, true
			s.after(last-age+1, func() {
				if s.replaying {
					s.arrive(a, f)
				}
			})
		}
	}
	return again
}

// streamTakes returns how long a stream takes one way.
func (n *network) streamTakes() time.Duration { return n.latency + n.random.Below(n.latency*4) }

// asked returns the agent that a question on a stream reaches; nil: none.
func (s *Sim) asked(l *life, id election.ID) *life {
	i := slices.IndexFunc(s.agents, func(b *agent) bool { return b.id == id && b.life != nil })
	if i < 0 || l.agent.life != l || s.net.random.OneIn(20) {
		return nil
	}
	if b := s.agents[i]; b.life.runs() && s.net.open(l.agent, b) {
		return b.life
	}
	return nil
}

// open reports whether datagrams pass both ways between two machines.
func (n *network) open(a, b *agent) bool {
	return !n.cut[a.index][b.index] && !n.cut[b.index][a.index] &&
		(!a.ruled || !a.emulator.CutEither(b.peerAt(b.addr))) && (!b.ruled || !b.emulator.CutEither(a.peerAt(a.addr)))
}

// changed records that links changed, or who runs.
func (n *network) changed() { n.version++ }

// parts returns, by machine, the part of the network that gossip sees it in: machines
// linked both ways over any number of hops. -1: down.
func (s *Sim) parts() []int {
	n := &s.net
	if n.partOf == n.version && n.part != nil {
		return n.part
	}
	n.partOf = n.version
	n.part = n.part[:0]
	for range s.agents {
		n.part = append(n.part, -1)
	}
	var stack []int
	for i, a := range s.agents {
		if n.part[i] >= 0 || !a.runs() {
			continue
		}
		n.part[i] = i
		for stack = append(stack[:0], i); len(stack) > 0; {
			from := s.agents[stack[len(stack)-1]]
			stack = stack[:len(stack)-1]
			for j, b := range s.agents {
				if n.part[j] < 0 && b.runs() && n.open(from, b) {
					n.part[j] = i
					stack = append(stack, j)
				}
			}
		}
	}
	return n.part
}
