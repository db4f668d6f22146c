package agent

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/doctor"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/wire"
)

const (
	// probeSmall is how many probes of a heartbeat's size a measurement sends to
	// each agent, probeLarge how many of the largest size: networks that lose
	// only those exist.
	probeSmall = 20
	probeLarge = 4
	// probeTargets bounds the agents that one measurement sends to.
	probeTargets = 64
	// probeRuns bounds the measurements that one agent makes, or answers one
	// other agent for, at the same time: that is its limit of rate.
	probeRuns = 4
	// probesKept is how long what was counted is kept to be told.
	probesKept = 30 * time.Second
	// probeHeard bounds the countings for others.
	probeHeard = probeRuns * 256
)

// prober measures the datagrams' paths to other agents, and counts what theirs
// bring. It is the loop's own.
type prober struct {
	runs  map[uint64]*probeRun // by session
	heard map[heardKey]*heardProbes
	out   wire.Frame
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
func (l *life) measure(session uint64) bool {
	p := &l.prober
	l.forgetProbes()
	if p.runs[session] != nil || len(p.runs) >= probeRuns {
		return p.runs[session] != nil
	}
	run := &probeRun{begun: l.now()}
	var before, after []election.ID
	for _, q := range l.peers {
		if q.State != member.Alive {
			continue
		}
		switch c := q.ID.Compare(l.id); {
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
	if p.runs == nil {
		p.runs = map[uint64]*probeRun{}
	}
	p.runs[session] = run
	return true
}

// probe sends the next probe of a measurement to each of its agents, and tells
// whether there are more to send.
func (l *life) probe(session uint64) (more bool) {
	run := l.prober.runs[session]
	if run == nil || run.next >= probeSmall+probeLarge {
		return false
	}
	n := run.next
	run.next++
	f := &l.prober.out
	f.Probe = wire.Probe{Word: wire.ProbeQuestion, Session: session, Number: uint8(n), Padding: wire.MinProbePadding}
	if isLarge(n) {
		f.Probe.Padding = largePadding
	}
	for _, t := range run.targets {
		addr, ok := l.member.Addr(t.id)
		if !ok {
			continue
		}
		t.sent |= 1 << n
		t.at[n].sent = l.now()
		f.FlockID, f.To = l.member.FlockID(), t.id
		l.sendProbe(f, addr)
	}
	return run.next < probeSmall+probeLarge
}

func (l *life) sendProbe(f *wire.Frame, addr netip.AddrPort) {
	l.member.Stamp(f)
	f.ToLife = 0 // it changes no state, and its answer may be no longer than it
	host{l}.Send(addr, f)
}

// largePadding makes a sealed probe as large as any datagram of ours can be:
// the rest of the body takes 90 to 106 bytes.
const largePadding = wire.MaxBody - 110

// isLarge tells whether a probe is one of the largest size: they come among the others.
func isLarge(n int) bool { return n%(probeSmall/probeLarge+1) == probeSmall/probeLarge }

// receiveProbe answers a question, once and only to an agent that is known; or
// books an answer.
func (l *life) receiveProbe(a *arrival) {
	q := &a.Probe
	if a.FlockID != l.member.FlockID() || !l.member.IsKnown(a.From) {
		l.counts.Of("dropped_probe").Add(1)
		return
	}
	if q.Word == wire.ProbeAnswer {
		l.bookProbe(a)
		return
	}
	h := l.hearing(heardKey{a.From, q.Session})
	addr, ok := l.member.Addr(a.From)
	if h == nil || !ok || h.got&(1<<q.Number) != 0 {
		l.counts.Of("dropped_probe").Add(1)
		return
	}
	h.got |= 1 << q.Number
	l.counts.Of("probes_answered").Add(1)
	f := &l.prober.out
	f.FlockID, f.To = l.member.FlockID(), a.From
	f.Probe = wire.Probe{Word: wire.ProbeAnswer, Session: q.Session, Number: q.Number, Heard: h.got, At: max(l.now(), 0)}
	l.sendProbe(f, addr)
}

// hearing gives the counting of a session, made anew when there is room.
func (l *life) hearing(key heardKey) *heardProbes {
	p := &l.prober
	if h := p.heard[key]; h != nil {
		return h
	}
	l.forgetProbes()
	same := 0
	for k := range p.heard {
		if k.from == key.from {
			same++
		}
	}
	if same >= probeRuns || len(p.heard) >= probeHeard {
		return nil
	}
	if p.heard == nil {
		p.heard = map[heardKey]*heardProbes{}
	}
	h := &heardProbes{begun: l.now()}
	p.heard[key] = h
	return h
}

func (l *life) forgetProbes() {
	now := l.now()
	for k, h := range l.prober.heard {
		if now-h.begun >= probesKept {
			delete(l.prober.heard, k)
		}
	}
	for k, r := range l.prober.runs {
		if now-r.begun >= probesKept {
			delete(l.prober.runs, k)
		}
	}
}

// bookProbe books an answer to a probe that was sent to this agent and not yet answered.
func (l *life) bookProbe(a *arrival) {
	run := l.prober.runs[a.Probe.Session]
	if run == nil {
		l.counts.Of("dropped_probe").Add(1)
		return
	}
	i := slices.IndexFunc(run.targets, func(t *probeTarget) bool { return t.id == a.From })
	n := a.Probe.Number
	if i < 0 || run.targets[i].sent&(1<<n) == 0 || run.targets[i].answered&(1<<n) != 0 {
		l.counts.Of("dropped_probe").Add(1)
		return
	}
	t := run.targets[i]
	t.answered |= 1 << n
	t.heard |= a.Probe.Heard & t.sent
	t.at[n].back, t.at[n].there = l.now(), a.Probe.At
}

// probed gives what a measurement has found, and what others' of the same
// session have brought here.
func (l *life) probed(session uint64) (paths []doctor.Path, heard []doctor.Heard, streams map[string]string) {
	streams = map[string]string{}
	if run := l.prober.runs[session]; run != nil {
		for _, t := range run.targets {
			paths = append(paths, t.path())
			streams[t.id.String()] = t.stream
		}
	}
	for k, h := range l.prober.heard {
		if k.session == session {
			heard = append(heard, doctor.Heard{From: k.from.String(), Probes: h.got})
		}
	}
	slices.SortFunc(heard, func(a, b doctor.Heard) int {
		if a.From < b.From {
			return -1
		}
		return 1
	})
	return paths, heard, streams
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
	for n := range probeSmall + probeLarge {
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
	third := (probeSmall + probeLarge) / 3
	first, last := t.quickest(0, third), t.quickest(probeSmall+probeLarge-third, probeSmall+probeLarge)
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
