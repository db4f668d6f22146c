package checkup

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/doctor"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/member"
	"duckduckgoose/wire"
)

const (
	// Probes is how many a measurement sends to each agent.
	Probes = probeSmall + probeLarge
	// probeSmall is how many probes of a heartbeat's size a measurement sends to
	// each agent, probeLarge how many of the largest size: networks that lose
	// only those exist.
	probeSmall = 20
	probeLarge = 4
	// probeTargets bounds the agents that one measurement sends to.
	probeTargets = 64
	// MaxRuns bounds the measurements that one agent makes, or answers one
	// other agent for, at the same time: that is its limit of rate.
	MaxRuns = 4
	// Kept is how long what was counted is kept to be told.
	Kept = 30 * time.Second
	// maxHeard bounds the countings for others.
	maxHeard = MaxRuns * 256
)

// Prober measures the datagrams' paths to other agents in one life of this
// agent, and counts what theirs bring. It is the loop's own.
type Prober struct {
	host   Host
	self   election.ID
	member *member.Member
	gossip *gossip.Gossip
	runs   map[uint64]*probeRun // by session
	heard  map[heardKey]*heardProbes
	out    wire.Frame
}

// Host is what a life acts with.
type Host interface {
	Now() time.Duration
	Send(to netip.AddrPort, f *wire.Frame) (taken int)
	Count(counter string)
}

// NewProber makes the prober of a life.
func NewProber(host Host, self election.ID, m *member.Member, g *gossip.Gossip) *Prober {
	return &Prober{host: host, self: self, member: m, gossip: g, runs: map[uint64]*probeRun{}, heard: map[heardKey]*heardProbes{}}
}

// probeRun is a measurement of this agent's own.
type probeRun struct {
	begun   time.Duration
	next    int // of the probes
	targets []*probeTarget
}

// probeTarget is what is known of the path to one agent.
type probeTarget struct {
	id       election.ID
	sent     uint64 // a bit for each probe
	answered uint64
	heard    uint64 // there, by its answers
	stream   string // api.StreamOK or its like; "": not tried yet
	at       [wire.MaxProbes]struct {
		sent, back time.Duration // by this agent's boot clock
		there      time.Duration // by the other's, when it answered
	}
}

// heardKey names what another agent measures.
type heardKey struct {
	from    election.ID
	session uint64
}

// heardProbes is what has come of it.
type heardProbes struct {
	begun time.Duration
	got   uint64
}

// measure begins to measure the paths to live agents; probe goes on with it.
// Of more than it may call it takes those whose ids follow its own: together
// the agents of a large flock still try many paths.
func (p *Prober) measure(session uint64) bool {
	p.forgetProbes()
	if p.runs[session] != nil || len(p.runs) >= MaxRuns {
		return p.runs[session] != nil
	}
	run := &probeRun{begun: p.host.Now()}
	var before, after []election.ID
	for _, q := range p.gossip.Peers() {
		if q.State != member.Alive {
			continue
		}
		switch c := q.ID.Compare(p.self); {
		case c < 0:
			before = append(before, q.ID)
		case c > 0:
			after = append(after, q.ID)
		}
	}
	ids := append(after, before...)
	for _, id := range ids[:min(len(ids), probeTargets)] {
		run.targets = append(run.targets, &probeTarget{id: id})
	}
	p.runs[session] = run
	return true
}

// probe sends the next probe of a measurement to each of its agents, and tells
// whether there are more to send.
func (p *Prober) probe(session uint64) (more bool) {
	run := p.runs[session]
	if run == nil || run.next >= Probes {
		return false
	}
	n := run.next
	run.next++
	f := &p.out
	f.Probe = wire.Probe{Word: wire.ProbeQuestion, Session: session, Number: uint8(n), Padding: wire.MinProbePadding}
	if isLarge(n) {
		f.Probe.Padding = largePadding
	}
	for _, t := range run.targets {
		addr, ok := p.member.Addr(t.id)
		if !ok {
			continue
		}
		t.sent |= 1 << n
		t.at[n].sent = p.host.Now()
		f.FlockID, f.To = p.member.FlockID(), t.id
		p.sendProbe(f, addr)
	}
	return run.next < Probes
}

func (p *Prober) sendProbe(f *wire.Frame, addr netip.AddrPort) {
	p.member.Stamp(f)
	f.ToLife = 0 // it changes no state, and its answer may be no longer than it
	p.host.Send(addr, f)
}

// largePadding makes a sealed probe as large as any datagram of ours can be:
// the rest of the body takes 90 to 106 bytes.
const largePadding = wire.MaxBody - 110

// isLarge tells whether a probe is one of the largest size: they come among the others.
func isLarge(n int) bool { return n%(probeSmall/probeLarge+1) == probeSmall/probeLarge }

// Receive answers a question, once and only to an agent that is known; or
// books an answer.
func (p *Prober) Receive(in *wire.Frame) {
	q := &in.Probe
	if in.FlockID != p.member.FlockID() || !p.member.IsKnown(in.From) {
		p.host.Count("dropped_probe")
		return
	}
	if q.Word == wire.ProbeAnswer {
		p.book(in)
		return
	}
	h := p.hearing(heardKey{in.From, q.Session})
	addr, ok := p.member.Addr(in.From)
	if h == nil || !ok || h.got&(1<<q.Number) != 0 {
		p.host.Count("dropped_probe")
		return
	}
	h.got |= 1 << q.Number
	p.host.Count("probes_answered")
	f := &p.out
	f.FlockID, f.To = p.member.FlockID(), in.From
	f.Probe = wire.Probe{Word: wire.ProbeAnswer, Session: q.Session, Number: q.Number, Heard: h.got, At: max(p.host.Now(), 0)}
	p.sendProbe(f, addr)
}

// hearing gives the counting of a session, made anew when there is room.
func (p *Prober) hearing(key heardKey) *heardProbes {
	if h := p.heard[key]; h != nil {
		return h
	}
	p.forgetProbes()
	same := 0
	for k := range p.heard {
		if k.from == key.from {
			same++
		}
	}
	if same >= MaxRuns || len(p.heard) >= maxHeard {
		return nil
	}
	h := &heardProbes{begun: p.host.Now()}
	p.heard[key] = h
	return h
}

func (p *Prober) forgetProbes() {
	now := p.host.Now()
	maps.DeleteFunc(p.heard, func(_ heardKey, h *heardProbes) bool { return now-h.begun >= Kept })
	maps.DeleteFunc(p.runs, func(_ uint64, r *probeRun) bool { return now-r.begun >= Kept })
}

// book books an answer to a probe that was sent to this agent and not yet answered.
func (p *Prober) book(a *wire.Frame) {
	run := p.runs[a.Probe.Session]
	if run == nil {
		p.host.Count("dropped_probe")
		return
	}
	i := slices.IndexFunc(run.targets, func(t *probeTarget) bool { return t.id == a.From })
	n := a.Probe.Number
	if i < 0 || run.targets[i].sent&(1<<n) == 0 || run.targets[i].answered&(1<<n) != 0 {
		p.host.Count("dropped_probe")
		return
	}
	t := run.targets[i]
	t.answered |= 1 << n
	t.heard |= a.Probe.Heard & t.sent
	t.at[n].back, t.at[n].there = p.host.Now(), a.Probe.At
}

// Report adds what a measurement has found, and what others' of the same session
// have brought here.
func (p *Prober) Report(r *doctor.Report, session uint64) {
	r.Streams = map[string]string{}
	if run := p.runs[session]; run != nil {
		for _, t := range run.targets {
			r.Paths = append(r.Paths, t.path())
			r.Streams[t.id.String()] = t.stream
		}
	}
	for k, h := range p.heard {
		if k.session == session {
			r.Heard = append(r.Heard, doctor.Heard{From: k.from.String(), Probes: h.got})
		}
	}
	slices.SortFunc(r.Heard, func(a, b doctor.Heard) int { return strings.Compare(a.From, b.From) })
}

func (t *probeTarget) path() doctor.Path {
	p := doctor.Path{To: t.id.String(), Sent: t.sent, Heard: t.heard, Answered: t.answered, Large: largeProbes & t.sent}
	var trips []time.Duration
	for n := range wire.MaxProbes {
		if t.answered&(1<<n) != 0 && !isLarge(n) {
			trips = append(trips, t.at[n].back-t.at[n].sent)
		}
	}
	if len(trips) > 0 {
		slices.Sort(trips)
		p.RTT = trips[len(trips)/2]
	}
	p.Clock = t.clock()
	return p
}

// largeProbes has a bit for each probe of the largest size.
var largeProbes = func() (b uint64) {
	for n := range Probes {
		if isLarge(n) {
			b |= 1 << n
		}
	}
	return b
}()

// clock compares the rates of both boot clocks, by the quickest exchange of the
// first third and of the last. An exchange tells the difference of two clocks
// to half its round trip, whichever way was the slower one.
func (t *probeTarget) clock() *doctor.Clock {
	third := Probes / 3
	first, last := t.quickest(0, third), t.quickest(Probes-third, Probes)
	if first < 0 || last < 0 {
		return nil
	}
	a, b := &t.at[first], &t.at[last]
	here := (b.sent+b.back)/2 - (a.sent+a.back)/2
	there := b.there - a.there
	if here <= 0 {
		return nil
	}
	unsure := (a.back - a.sent + b.back - b.sent) / 2
	return &doctor.Clock{
		Faster: float64(there-here) / float64(here), Unsure: float64(unsure) / float64(here), Over: here,
	}
}

// quickest gives the answered probe of [from, to) with the shortest round trip, -1 for none.
func (t *probeTarget) quickest(from, to int) int {
	best, trip := -1, time.Duration(math.MaxInt64)
	for n := from; n < to; n++ {
		if d := t.at[n].back - t.at[n].sent; t.answered&(1<<n) != 0 && d < trip {
			best, trip = n, d
		}
	}
	return best
}
