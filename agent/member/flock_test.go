package member

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

const (
	testHeartbeat = 50 * time.Millisecond
	testLease     = 500 * time.Millisecond
	testDelay     = time.Millisecond // of a datagram
)

var errDisk = errors.New("the disk is broken")

// testFlock is agents with one virtual clock, a network, gossip and disks. It checks P2
// and P3 after every step, the order of effects in every turn, and in every datagram
// that it shows nothing that the disk lacks.
type testFlock struct {
	t      testing.TB
	now    time.Duration
	agents []*testAgent
	later  []testEvent // by time
	tokens map[string]uint64
	lost   func(from, to *testAgent, msg *wire.Message) bool
	deaf   func(from, to *testAgent) bool // questions about tables that get no answer
	missed func(at, of *testAgent) bool   // gossip has lost there that the other is of the flock
	met    func(at, of *testAgent) bool   // an agent has called another, which answered
	sent   func(body []byte)              // hears every frame
	forged bool                           // a key holder may have forged promises, so P2 does not hold
}

type testEvent struct {
	at time.Duration
	do func()
}

// testAgent is one agent's host: its disk, its programs, and a log of effects.
type testAgent struct {
	*Member
	f      *testFlock
	name   string
	me     election.ID
	set    Settings
	saved  store.State // what a crash leaves
	behind bool        // the second copy lacks the last save
	locals map[string]*testLocal
	wills  map[string][]WillDatagram
	meta   Meta
	state  PeerState
	up     bool
	fed    bool // an input has had no turn yet
	paused bool // it takes datagrams but has no turns, like a late loop
	old    bool // of the version before lives were named, configs were shown, and news were passed on
	former bool // of the version that passes on the news of the default election only
	err    error

	saveErr, settleErr error
	slow               time.Duration // what a save takes
	log                []effect
	events             []Event
	counts             map[string]int
	heard              int
	asked              []election.ID // for tables
}

type effect struct {
	kind     string
	election string
	to       election.ID
	count    int
	lease    election.Lease
	at       time.Duration
}

type testLocal struct {
	a       *testAgent
	name    string
	holders Holders
	keeps   bool // work goes on although it was told to stop
	lease   election.Lease
	view    View
	causes  []Cause
	stops   []Cause
	closed  bool
	shows   int  // how often all was published
	stale   bool // readers must see all
}

func newTestFlock(t testing.TB) *testFlock {
	return &testFlock{t: t, now: time.Hour, tokens: map[string]uint64{}}
}

// start starts the next agent: a, b, c... The first founds unless told otherwise.
func (f *testFlock) start(change ...func(*Settings)) *testAgent {
	i := len(f.agents)
	a := &testAgent{f: f, name: string(rune('a' + i)), me: election.ID{byte(i + 1)}}
	a.set = Settings{
		Name: a.name, FlockID: election.FlockID{9, byte(i)}, Fresh: true, Heartbeat: testHeartbeat, Lease: testLease,
		Joins: i > 0, Voters: 5, Priority: 100, Life: uint64(i+1) * 1000,
	}
	for _, c := range change {
		c(&a.set)
	}
	a.saved = store.State{ID: a.me}
	f.agents = append(f.agents, a)
	a.begin()
	return a
}

// begin starts a life from the disk.
func (a *testAgent) begin() {
	a.saved.Start++
	a.set.Life++
	a.up, a.state, a.err, a.log, a.events = true, Alive, nil, nil, nil
	a.locals, a.counts, a.wills = map[string]*testLocal{}, map[string]int{}, map[string][]WillDatagram{}
	a.Member = New(a.set, a, a.saved)
	a.set.Fresh = false
	require.NoError(a.f.t, a.Begin())
	a.TellGossip(a.Meta())
	a.fed = true
}

// crash ends the life at once. Gossip reports that a second later.
func (a *testAgent) crash() {
	a.up = false
	for _, l := range a.locals {
		l.lease = election.Lease{}
	}
	a.f.after(time.Second, func() {
		if !a.up && a.state == Alive {
			a.state = Failed
			a.f.gossip()
		}
	})
}

func (f *testFlock) after(d time.Duration, do func()) {
	e := testEvent{f.now + d, do}
	i, _ := slices.BinarySearchFunc(f.later, e, func(a, b testEvent) int { return cmp.Or(cmp.Compare(a.at, b.at), -1) })
	f.later = slices.Insert(f.later, i, e)
}

// named returns the agent of an id; nil: none.
func (f *testFlock) named(id election.ID) *testAgent {
	if i := slices.IndexFunc(f.agents, func(a *testAgent) bool { return a.me == id }); i >= 0 {
		return f.agents[i]
	}
	return nil
}

// gossip shows every agent to all others.
func (f *testFlock) gossip() {
	var peers []Peer
	for _, a := range f.agents {
		peers = append(peers, Peer{ID: a.me, Addr: a.addr(), State: a.state, Meta: a.meta})
	}
	for _, a := range f.agents {
		if !a.up {
			continue
		}
		seen := slices.Clone(peers)
		for i, of := range f.agents {
			if f.missed != nil && f.missed(a, of) {
				seen[i].Meta.FlockID = election.FlockID{}
			}
			seen[i].Met = f.met != nil && f.met(a, of)
		}
		a.SetPeers(seen)
		a.fed = true
	}
}

func (a *testAgent) addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, a.me[0]}), 1)
}

// step goes to the next event, at the latest to end.
func (f *testFlock) step(end time.Duration) {
	at := end
	for _, a := range f.agents {
		if a.up && !a.paused {
			at = min(at, a.WakeAt(0))
		}
	}
	if len(f.later) > 0 {
		at = min(at, f.later[0].at)
	}
	f.now = max(f.now, at)
	for len(f.later) > 0 && f.later[0].at <= f.now {
		do := f.later[0].do
		f.later = f.later[1:]
		do()
	}
	for _, a := range f.agents {
		if a.up && !a.paused && (a.fed || f.now >= a.WakeAt(0)) {
			a.fed = false
			a.turn()
		}
	}
	if !f.forged {
		f.checkLeases()
	}
}

func (f *testFlock) run(d time.Duration) {
	for end := f.now + d; f.now < end; {
		f.step(end)
	}
}

func (f *testFlock) until(most time.Duration, what string, holds func() bool) {
	f.t.Helper()
	for end := f.now + most; !holds(); f.step(end) {
		require.Less(f.t, f.now, end, "not within %s: %s", most, what)
	}
}

// checkLeases checks P2 by the deadlines that programs were handed.
func (f *testFlock) checkLeases() {
	seen := map[string]string{}
	for _, a := range f.agents {
		for name, l := range a.locals {
			if l.lease.Until <= f.now {
				continue
			}
			require.Empty(f.t, seen[name], "%s and %s are both the goose of %q", seen[name], a.name, name)
			seen[name] = a.name
		}
	}
}

// goose waits until all live agents agree on a goose, and returns it.
func (f *testFlock) goose(election string) (found *testAgent) {
	f.t.Helper()
	f.until(20*time.Second, fmt.Sprintf("all agree on the goose of %q", election), func() bool {
		found = f.agreed(election)
		return found != nil
	})
	return found
}

// leader returns an agent that is the goose; nil: none.
func (f *testFlock) leader(election string) (found *testAgent) {
	for _, a := range f.agents {
		if l := a.locals[election]; a.up && l != nil && l.view.Leased && l.lease.Until > f.now {
			found = a
		}
	}
	return found
}

// agreed returns the goose that all live agents agree on; nil: none.
func (f *testFlock) agreed(election string) *testAgent {
	found := f.leader(election)
	if found == nil || slices.ContainsFunc(f.agents, func(a *testAgent) bool {
		e := a.up && a.Named(election) != nil
		if !e {
			return a.up
		}
		id, _ := a.Named(election).Goose(f.now)
		return id != found.me
	}) {
		return nil
	}
	return found
}

// voters waits until the goose has n voters in a committed config.
func (f *testFlock) voters(n int) *testAgent {
	f.t.Helper()
	var g *testAgent
	f.until(2*time.Minute, fmt.Sprintf("%d voters", n), func() bool {
		g = f.goose("")
		return int(g.config("").N) == n && g.node().Committed()
	})
	return g
}

func (a *testAgent) config(election string) election.Config {
	return a.Named(election).node.Record().Config
}

func (f *testFlock) duck() *testAgent { return f.goose("").other() }

// stepDown hands an election over; nil: to the voter that ranks first. It returns the
// new goose.
func (f *testFlock) stepDown(election string, to *testAgent) *testAgent {
	f.t.Helper()
	g := f.goose(election)
	err, done := g.stepDown(election, to, false)
	f.until(10*time.Second, "handed over", func() bool { return *done })
	require.NoError(f.t, *err)
	return f.goose(election)
}

// stepDown asks an agent to hand over, and returns where the result will be.
func (a *testAgent) stepDown(name string, to *testAgent, force bool) (err *error, done *bool) {
	var id election.ID
	if to != nil {
		id = to.me
	}
	err, done = new(error), new(bool)
	a.StepDown(a.Named(name), id, force, func(_ election.ID, why error) {
		require.False(a.f.t, *done, "told twice")
		*err, *done = why, true
	})
	a.fed = true
	return err, done
}

// turn runs one turn and checks the order of its effects.
func (a *testAgent) turn() {
	bound, from := a.node() != nil, len(a.log)
	done, err := a.Turn(a.f.now)
	if bound {
		a.checkOrder(a.log[from:], err)
	}
	if a.err = err; done || err != nil {
		a.crash()
		return
	}
	for _, e := range a.Elections() {
		a.checkReaders(e)
	}
}

// checkOrder checks a turn's effects against effects.go.
func (a *testAgent) checkOrder(log []effect, err error) {
	t := a.f.t
	ranks := map[string]int{"retract": 0, "save": 1, "send": 2, "will": 3, "grant": 3, "publish": 3, "settle": 4}
	rank, saves, settles := 0, 0, 0
	sent := map[election.ID]int{}
	for _, e := range log {
		r := ranks[e.kind]
		if e.kind == "retract" && err != nil {
			continue // a disk that fails ends all leases
		}
		if e.kind == "publish" && e.lease.Token == 0 && rank < 3 {
			continue // of a retraction, or of what time alone has changed
		}
		if e.kind == "retract" && err != nil {
			continue
		}
		require.GreaterOrEqual(t, r, rank, "%s: %s is out of order: %+v", a.name, e.kind, log)
		rank = r
		switch e.kind {
		case "save":
			saves++
		case "settle":
			settles++
		case "send":
			sent[e.to]++
			require.Equal(t, 1, sent[e.to], "%s: two datagrams to one agent in a turn", a.name)
		}
	}
	require.LessOrEqual(t, saves, 1, "%s: one save a turn", a.name)
	if err == nil {
		require.False(t, a.behind, "%s: what was saved is settled", a.name)
		require.LessOrEqual(t, settles, 1, "%s: one settle a turn", a.name)
	}
}

// checkShown fails if a message shows what the disk could still lose.
func (a *testAgent) checkShown(msg *wire.Message) {
	t := a.f.t
	i := slices.IndexFunc(a.saved.Elections, func(e store.Election) bool { return e.Number == msg.Election })
	require.GreaterOrEqual(t, i, 0, "%s speaks of election %d, which is not saved", a.name, msg.Election)
	entry := a.saved.Elections[i]
	rec := entry.Record
	require.True(t, entry.Started || msg.Election == 0, "%s speaks of an election whose start is not saved", a.name)
	require.LessOrEqual(t, msg.Generation.Number, rec.Generation.Number)
	require.LessOrEqual(t, msg.Term, rec.Term, "%s shows a term that is not saved", a.name)
	require.LessOrEqual(t, msg.ConfigID.Compare(rec.Config.ConfigID), 0, "%s shows a config that is not saved", a.name)
	if msg.Config.N > 0 && msg.Config.ConfigID == rec.Config.ConfigID {
		require.Equal(t, rec.Config, msg.Config)
	}
	if msg.Term == rec.Term {
		switch {
		case msg.Kind == election.VoteRequest:
			require.Equal(t, a.me, rec.Vote, "%s asks for votes without its own", a.name)
		case msg.Kind == election.VoteReply && msg.Granted:
			require.Equal(t, msg.To, rec.Vote, "%s gives a vote that is not saved", a.name)
		}
	}
	require.LessOrEqual(t, msg.Mark, rec.Mark, "%s shows a mark that is not saved", a.name)
	require.True(t, msg.Kind == election.Announce || msg.Promise <= rec.PromiseMax, "%s promises what is not saved", a.name)
}

func (a *testAgent) record(e effect) {
	e.at = a.f.now
	a.log = append(a.log, e)
}

func (a *testAgent) Now() time.Duration { return a.f.now }

func (a *testAgent) Save(st store.State) error {
	a.record(effect{kind: "save"})
	a.f.now += a.slow
	if a.saveErr != nil {
		return a.saveErr
	}
	st.Elections = slices.Clone(st.Elections)
	a.saved, a.behind = st, true
	return nil
}

func (a *testAgent) LeaveWill(election string, datagrams []WillDatagram) {
	a.record(effect{kind: "will", election: election, count: len(datagrams)})
	a.wills[election] = slices.Clone(datagrams)
	for i := range datagrams {
		m := datagrams[i].Frame.Messages[0]
		m.To = datagrams[i].Frame.To
		a.checkShown(&m)
	}
}

func (a *testAgent) Settle() error {
	a.record(effect{kind: "settle"})
	a.behind = false
	return a.settleErr
}

func (a *testAgent) Send(addr netip.AddrPort, frame *wire.Frame) int {
	t := a.f.t
	if a.old {
		frame.ToLife = 0
	}
	body, taken, err := wire.AppendMost(nil, frame)
	require.NoError(t, err)
	if a.f.sent != nil {
		a.f.sent(body)
	}
	a.record(effect{kind: "send", to: frame.To, count: taken})
	for i := range frame.Messages[:taken] {
		m := frame.Messages[i]
		m.To = frame.To
		a.checkShown(&m)
	}
	i := slices.IndexFunc(a.f.agents, func(b *testAgent) bool { return b.addr() == addr })
	if i < 0 {
		return taken
	}
	to, life := a.f.agents[i], a.f.agents[i].Member
	got := &wire.Frame{}
	require.NoError(t, wire.DecodeFrame(body, got))
	if to.old {
		got.ToLife = to.set.Life // it reads none
		for i := range got.Messages {
			got.Messages[i].ToLife = to.set.Life
		}
	}
	if to.old || a.old {
		got.Messages = slices.DeleteFunc(got.Messages, func(m wire.Message) bool { return m.Kind == election.Announce })
	}
	if a.former {
		got.Messages = slices.DeleteFunc(got.Messages, func(m wire.Message) bool { return m.Kind == election.Announce && m.Election != 0 })
	}
	if a.f.lost != nil && got.Packed() {
		plain := []wire.Message{}
		require.NoError(t, got.Each(func(m *wire.Message) error {
			plain = append(plain, *m)
			return nil
		}))
		got = &wire.Frame{FlockID: got.FlockID, From: got.From, To: got.To, Start: got.Start, Life: got.Life, Seq: got.Seq, ToLife: got.ToLife, Messages: plain}
	}
	if a.f.lost != nil {
		whole := got
		got = &wire.Frame{FlockID: whole.FlockID, From: whole.From, To: whole.To, Start: whole.Start, Life: whole.Life, Seq: whole.Seq, ToLife: whole.ToLife, Founding: whole.Founding}
		require.NoError(t, whole.Each(func(m *wire.Message) error { // packed ones, too
			if !a.f.lost(a, to, m) {
				got.Messages = append(got.Messages, *m)
			}
			return nil
		}))
	}
	a.f.after(testDelay, func() {
		if to.up && to.Member == life {
			_, err := to.Receive(a.f.now, got, a.addr())
			if to.fed, to.err = true, err; err != nil {
				to.crash()
			}
		}
	})
	return taken
}

func (a *testAgent) Flush() {}

func (a *testAgent) Local(name string) Local {
	a.locals[name] = &testLocal{a: a, name: name}
	return a.locals[name]
}

func (a *testAgent) TellGossip(meta Meta) {
	a.meta = meta
	if a.old {
		a.meta.Config, a.meta.Relays = ShownConfig{}, false
	}
	if a.old || a.former {
		a.meta.RelaysAll = false
	}
	if meta.Left {
		a.state = Left
	}
	a.f.after(20*time.Millisecond, a.f.gossip)
}

func (a *testAgent) MarkLeft(id election.ID) {
	if gone := a.f.named(id); gone != nil {
		gone.state = Left
	}
	a.f.after(20*time.Millisecond, a.f.gossip)
}

func (a *testAgent) AskTable(id election.ID, q TableQuestion, then func(*TableAnswer)) {
	a.asked = append(a.asked, id)
	to, life := a.f.named(id), a.Member
	a.f.after(testDelay, func() {
		var got *TableAnswer
		if to != nil && to.up && (a.f.deaf == nil || !a.f.deaf(a, to)) {
			answer := to.AnswerTable(q)
			got, to.fed = &answer, true
		}
		a.f.after(testDelay, func() {
			if a.up && a.Member == life {
				then(got)
				a.fed = true
			}
		})
	})
}

func (a *testAgent) Heard(uint64, *election.Message) { a.heard++ }
func (a *testAgent) Tell(e Event)                    { a.events = append(a.events, e) }
func (a *testAgent) Count(counter string)            { a.counts[counter]++ }

// told returns the events of a kind.
func (a *testAgent) told(kind EventKind) (events []Event) {
	for _, e := range a.events {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}

// attach starts a program that works for the goose.
func (a *testAgent) attach(name string) *testLocal {
	l := a.locals[name]
	l.holders.Attached = 1
	a.HolderAttached(a.Named(name))
	a.fed = true
	return l
}

// drain ends the work of a program.
func (l *testLocal) drain() {
	if e := l.a.Named(l.name); l.a.up && l.a.locals[l.name] == l && e != nil {
		l.holders.Working, l.holders.Late = 0, 0
		l.a.HoldersChanged(e)
		l.a.fed = true
	}
}

func (l *testLocal) mustEnd() {
	if l.holders.Working > 0 && !l.keeps {
		l.a.f.after(0, l.drain)
	}
}

func (l *testLocal) Retract(cause Cause) {
	l.a.record(effect{kind: "retract", election: l.name})
	l.lease = election.Lease{}
	l.causes = append(l.causes, cause)
	l.mustEnd()
}

func (l *testLocal) Grant(lease election.Lease, ending bool) {
	f := l.a.f
	l.a.record(effect{kind: "grant", election: l.name, lease: lease})
	i := slices.IndexFunc(l.a.saved.Elections, func(e store.Election) bool { return e.Name == l.name })
	require.GreaterOrEqual(f.t, i, 0)
	require.Equal(f.t, l.a.saved.Elections[i].Record.Token(), lease.Token, "%s is granted what is not saved", l.a.name)
	require.GreaterOrEqual(f.t, lease.Token, f.tokens[l.name], "tokens only grow (P3)")
	f.tokens[l.name] = lease.Token
	l.lease = lease
	if l.holders.Attached > 0 && (!ending || l.holders.Working > 0) {
		l.holders.Working = l.holders.Attached
	}
}

func (l *testLocal) Stop(cause Cause) {
	l.stops = append(l.stops, cause)
	l.mustEnd()
}

func (l *testLocal) Publish(_ time.Duration, v *View) {
	e := effect{kind: "publish", election: l.name}
	if v.Leased {
		e.lease = election.Lease{Token: v.Token, Until: v.Lapses, Length: l.lease.Length}
		require.Equal(l.a.f.t, l.lease, e.lease, "%s shows a lease that was not granted", l.a.name)
	}
	l.a.record(e)
	l.view = *v
	l.shows++
}

func (l *testLocal) Heard(at time.Duration) bool {
	if l.stale {
		return false
	}
	l.view.HeardAt, l.view.Lapses = at, at+l.view.Heard
	l.a.record(effect{kind: "publish", election: l.name})
	return true
}

func (l *testLocal) Close()           { l.closed = true }
func (l *testLocal) Holders() Holders { return l.holders }

// SetPeers replaces gossip's whole view.
func (m *Member) SetPeers(peers []Peer) {
	var forgotten []election.ID
	for _, p := range m.peers {
		if !slices.ContainsFunc(peers, func(q Peer) bool { return q.ID == p.ID }) {
			forgotten = append(forgotten, p.ID)
		}
	}
	m.ChangePeers(peers, forgotten)
}
