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
	// Probes is the number of probes that a measurement sends to each agent.
	Probes = probeSmall + probeLarge
	// probeSmall of them have the size of a heartbeat, probeLarge the largest size
	// of a datagram: some networks lose only large ones.
	probeSmall = 20
	probeLarge = 4
	// probeTargets bounds the agents that one measurement sends to.
	probeTargets = 64
	// MaxRuns bounds the measurements that an agent makes at the same time, and
	// those of one other agent that it answers. That limits its rate of probes.
	MaxRuns = 4
	// Kept is how long counts are kept for reports.
	Kept = 30 * time.Second
	// maxHeard bounds the measurements of others that this agent counts for.
	maxHeard = MaxRuns * 256
)

// Prober measures the paths of datagrams to other agents during one life of
// this agent, and counts the probes of others. Only the loop uses it.
type Prober struct {
	host   Host
	self   election.ID
	member *member.Member
	gossip *gossip.Gossip
	runs   map[uint64]*probeRun // by session
	heard  map[heardKey]*heardProbes
	out    wire.Frame
}

// Host is the part of an agent's life that a Prober uses.
type Host interface {
	Now() time.Duration
	Send(to netip.AddrPort, f *wire.Frame) (taken int)
	Count(counter string)
}

// NewProber makes the prober of a life.
func NewProber(host Host, self election.ID, m *member.Member, g *gossip.Gossip) *Prober {
	return &Prober{host: host, self: self, member: m, gossip: g, runs: map[uint64]*probeRun{}, heard: map[heardKey]*heardProbes{}}
}

// probeRun is a measurement that this agent makes.
type probeRun struct {
	begun   time.Duration
	next    int // index of the next probe
	targets []*probeTarget
}

// probeTarget is what this agent measured of the path to another.
type probeTarget struct {
	id       election.ID
	sent     uint64 // a bit for each probe
	answered uint64
	heard    uint64 // arrived there, by its answers
	stream   string // api.StreamOK or its like; "": not tried yet
	at       [wire.MaxProbes]struct {
		sent, back time.Duration // by this agent's boot clock
		there      time.Duration // by the other's, when it answered
	}
}

// heardKey names a measurement of another agent.
type heardKey struct {
	from    election.ID
	session uint64
}

// heardProbes counts the probes of such a measurement that arrived here.
type heardProbes struct {
	begun time.Duration
	got   uint64
}

// measure begins a measurement of the paths to live agents; probe continues it.
// In a large flock it takes the probeTargets agents whose ids follow this agent's
// own, so that all agents together still cover many paths.
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
	f.ToLife = 0 // a probe changes no state, and its answer may be no longer than the probe
	p.host.Send(addr, f)
}

// largePadding makes a sealed probe as large as any datagram of ours can be:
// the rest of the body takes 90 to 106 bytes.
const largePadding = wire.MaxBody - 110

// isLarge reports whether probe n has the largest size: large ones are spread among the small ones.
func isLarge(n int) bool { return n%(probeSmall/probeLarge+1) == probeSmall/probeLarge }

// Receive handles a probe: it answers each question once, and only to a known
// agent, and records answers.
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

// hearing returns the counts of a session. It makes new ones while there is room.
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

// book records an answer if this agent sent the probe and had no answer to it yet.
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

// Report adds this agent's measurement of a session, and its counts of the others'
// probes of that session.
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
// first third and that of the last. An exchange shows the difference of two
// clocks with an error of at most half its round trip.
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

// quickest returns the answered probe of [from, to) with the shortest round trip, -1 for none.
func (t *probeTarget) quickest(from, to int) int {
	best, trip := -1, time.Duration(math.MaxInt64)
	for n := from; n < to; n++ {
		if d := t.at[n].back - t.at[n].sent; t.answered&(1<<n) != 0 && d < trip {
			best, trip = n, d
		}
	}
	return best
}
