package member

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// contesting has an agent contest elections besides the default one.
func contesting(names ...string) func(*Settings) {
	return func(s *Settings) { s.Elections = names }
}

// flockOf returns a flock of n voters that all contest the named elections.
func flockOf(t testing.TB, n int, names ...string) *testFlock {
	f := newTestFlock(t)
	for range n {
		f.start(contesting(names...), func(s *Settings) { s.Expect = n })
	}
	f.voters(n)
	for _, name := range names {
		f.until(time.Minute, name, func() bool { return f.agents[n-1].Named(name) != nil })
		f.goose(name)
	}
	return f
}

// kinds returns the effects in a log, one word each, except what is only shown.
func kinds(log []effect) (words []string) {
	for _, e := range log {
		if e.kind != "publish" || e.lease.Token != 0 {
			words = append(words, e.kind)
		}
	}
	return words
}

// checkOrder and checkShown check every turn and datagram of the flock.
func TestEveryTurnKeepsTheOrderOfEffects(t *testing.T) {
	f := flockOf(t, 5, "x", "y", "z")
	f.goose("x").attach("x")
	for range 3 {
		g := f.goose("")
		g.attach("")
		require.Positive(t, g.locals[""].holders.Working)
		g.crash()
		f.goose("")
		g.begin()
		f.run(5 * time.Second)
		f.stepDown("", nil)
	}
	seen := map[string]bool{}
	for _, a := range f.agents {
		for _, e := range a.log {
			seen[e.kind] = true
		}
	}
	for _, kind := range []string{"retract", "save", "send", "grant", "publish", "settle"} {
		require.True(t, seen[kind], kind)
	}
}

func TestASoleVoterSavesItsTermBeforeItIsTheGoose(t *testing.T) {
	f := newTestFlock(t)
	a := f.start()
	a.turn()
	require.Equal(t, []string{"save", "settle"}, kinds(a.log), "that it is bound is settled, too")
	a.log = nil
	f.until(time.Second, "it is the goose", func() bool { return a.locals[""].view.Leased })
	require.Equal(t, []string{"save", "grant", "publish", "settle"}, kinds(a.log))
}

func TestAllElectionsShareOneSaveAndOneDatagramToEachAgent(t *testing.T) {
	f := flockOf(t, 3, "u", "v", "w", "x", "y", "z")
	g := f.goose("")
	most := 0
	for i := range g.log {
		if g.log[i].kind == "send" {
			most = max(most, g.log[i].count)
		}
	}
	require.GreaterOrEqual(t, most, 2, "heartbeats leave together")

	// Two elections change in one turn: one save has both.
	g.hearHigherTermOf(g.Named("x"))
	g.hearHigherTermOf(g.Named("y"))
	g.log = nil
	g.turn()
	require.Equal(t, 1, count(g.log, "save"))
	require.Equal(t, 1, count(g.log, "settle"))
	for _, entry := range g.saved.Elections {
		e := g.Named(entry.Name)
		require.Equal(t, e.node.Record(), entry.Record, "election %q", entry.Name)
	}
}

func count(log []effect, kind string) (n int) {
	for _, e := range log {
		if e.kind == kind {
			n++
		}
	}
	return n
}

// hearHigherTermOf has an agent hear of a higher term of an election.
func (a *testAgent) hearHigherTermOf(e *Election) {
	rec := e.node.Record()
	msg := wire.Message{Election: e.number, Message: election.Message{Kind: election.Reject, Header: e.header(a.me)}}
	msg.From, msg.Term = a.other().me, rec.Term+1
	require.NoError(a.f.t, a.receiveMessage(&msg))
}

func (a *testAgent) hearHigherTerms() {
	for _, e := range a.elections {
		a.hearHigherTermOf(e)
	}
}

// other returns another live agent.
func (a *testAgent) other() *testAgent {
	return a.f.agents[slices.IndexFunc(a.f.agents, func(b *testAgent) bool { return b.up && b != a })]
}

func TestAFailedSaveSendsAndGrantsNothing(t *testing.T) {
	f := flockOf(t, 3, "x", "y")
	g := f.goose("x")
	g.attach("x")
	f.run(time.Second)
	g.saveErr = errDisk
	g.log = nil
	g.hearHigherTerms()
	for range 3 {
		_, err := g.Turn(f.now)
		require.ErrorIs(t, err, errDisk)
		f.now += testHeartbeat
		for _, l := range g.locals {
			require.Zero(t, l.lease, "all elections are retracted")
		}
	}
	require.Equal(t, 1, count(g.log, "save"), "what a failed sync has lost, nobody can tell")
	require.Zero(t, count(g.log, "send"))
	require.Zero(t, count(g.log, "grant"))
	require.Zero(t, count(g.log, "settle"))
	g.Republish(f.now, true)
	require.False(t, g.locals["x"].view.Leased, "nor is it shown later")
}

func TestAFailedSaveOfOneElectionRetractsAll(t *testing.T) {
	f := flockOf(t, 3, "x", "y")
	g := f.goose("x")
	if f.goose("y") != g {
		f.stepDown("y", g)
	}
	g.hearHigherTermOf(g.Named("x"))
	require.Zero(t, g.locals["x"].lease, "retracted at the step")
	y := g.locals["y"]
	require.NotZero(t, y.lease)
	g.saveErr = errDisk
	g.turn()
	require.ErrorIs(t, g.err, errDisk)
	require.Zero(t, y.lease)
	require.Equal(t, LeaseLost, y.causes[len(y.causes)-1])
}

func TestAFailedSettleStopsTheMemberToo(t *testing.T) {
	f := flockOf(t, 3, "x")
	g := f.goose("")
	g.settleErr = errDisk
	g.hearHigherTerms()
	_, err := g.Turn(f.now)
	require.ErrorIs(t, err, errDisk)
	g.log = nil
	_, err = g.Turn(f.now + testLease)
	require.ErrorIs(t, err, errDisk)
	require.Zero(t, count(g.log, "send"))
	for _, l := range g.locals {
		require.Zero(t, l.lease)
	}
}

func TestASlowSaveDelaysNoRetraction(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	g.slow = 200 * time.Millisecond
	g.log = nil
	at := f.now
	g.hearHigherTerms()
	require.Equal(t, "retract", g.log[0].kind)
	require.False(t, g.locals[""].view.Leased, "readers know, too")
	g.turn()
	require.Equal(t, at, g.log[0].at)
	require.GreaterOrEqual(t, f.now, at+g.slow)
	require.Equal(t, 1, count(g.log, "save"))
	require.Less(t, count(g.log, "retract"), 2)
}

// A save outlasts the lease: grants after it are judged by the time then.
func TestALeaseThatEndedDuringASaveIsNotShownAsValid(t *testing.T) {
	f := newTestFlock(t)
	a := f.start()
	a.slow = 2 * testLease
	a.turn()
	require.NotZero(t, count(a.log, "save"))
	require.False(t, a.locals[""].view.Leased)
}

func TestALeaseIsShownOnlyOnceItIsGranted(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	ducks := []*testAgent{f.agents[int(g.me[0])%3], f.agents[(int(g.me[0])+1)%3]}
	ducks[1].crash()
	f.run(testLease)
	f.lost = func(from, to *testAgent, m *wire.Message) bool { return to == g }
	lapses := g.locals[""].view.Lapses
	f.run(lapses - f.now - testHeartbeat)
	g.Default().step(election.Change{Voter: election.Voter{ID: ducks[1].me}, Remove: true})
	require.NoError(t, g.Default().fx.Err)
	g.turn()
	f.lost = nil
	g.paused = true // the lease lapses, and the ack that removes the voter comes, before it wakes
	f.run(testHeartbeat + 10*time.Millisecond)
	require.True(t, g.Default().dirty)
	require.Greater(t, g.node().Lease().Until, f.now)
	g.log, g.paused = nil, false
	g.turn() // Publish compares what is shown with what was granted
	require.True(t, g.locals[""].view.Leased)
	require.EqualValues(t, 2, g.saved.Elections[0].Record.Config.N)
}

func TestATableThatIsNotAtHandStopsTheAgentBeforeItSaves(t *testing.T) {
	f := flockOf(t, 3)
	a := f.duck()
	rec := a.node().Record()
	msg := election.Message{Kind: election.Reject, Header: a.Default().header(a.me), Config: rec.Config}
	msg.From, msg.Term = f.goose("").me, rec.Term+1
	msg.Config.Term, msg.Config.Table = rec.Term+1, election.Digest{1}
	msg.ConfigID = msg.Config.ConfigID
	a.log = nil
	a.Default().step(&msg)
	_, err := a.Turn(f.now)
	require.ErrorContains(t, err, "this is a bug")
	require.Zero(t, count(a.log, "save"))
	require.Zero(t, count(a.log, "send"))
	require.Positive(t, count(a.log, "retract"))
}

func TestAGooseThatLeavesAtOnceIsGrantedNothingMore(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	g.attach("")
	f.run(testHeartbeat)
	g.Default().step(election.Tick{}) // as any input of the same turn
	f.now += testHeartbeat
	left := false
	require.NoError(t, g.Leave(true, func(err error) { left = err == nil }))
	require.True(t, left)
	require.True(t, g.saved.Left)
	g.log = nil
	done, err := g.Turn(f.now)
	require.NoError(t, err)
	require.True(t, done)
	require.Zero(t, count(g.log, "grant"))
	require.Zero(t, g.locals[""].lease)
}

// No input makes the node shorten a lease of one token (rule 15). If one did,
// holders would stop rather than work by the old deadline.
func TestAShorterLeaseRetractsTheLongerOne(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.locals[""]
	e, lease := g.Default(), l.lease
	g.log = nil
	e.retract(lease)
	e.retract(election.Lease{Token: lease.Token, Until: lease.Until + 1})
	require.Empty(t, g.log, "it lasts longer")
	e.retract(election.Lease{Token: lease.Token, Until: lease.Until - 1})
	require.Equal(t, []string{"retract"}, kinds(g.log))
	require.Zero(t, l.lease)
	require.Zero(t, e.lease)
	e.retract(election.Lease{})
	require.Len(t, g.log, 1, "there is none to retract")
}

func TestRule17ASleepDropsTheLeaseAtOnce(t *testing.T) {
	f := flockOf(t, 3, "x")
	g := f.goose("x")
	l := g.attach("x")
	f.run(testHeartbeat)
	require.Positive(t, l.holders.Working)
	g.log = nil
	g.Slept()
	require.Zero(t, l.lease)
	require.False(t, l.view.Leased)
	require.Equal(t, "retract", g.log[0].kind)
	g.fed = true
	require.Equal(t, g.name, f.goose("x").name, "it is earned anew")
	require.NotZero(t, l.lease)

	unbound := newTestFlock(t).start(func(s *Settings) { s.Joins = true })
	unbound.Slept()
	require.Empty(t, kinds(unbound.log))
}

func TestRule12WorkBindsTheGooseUntilItHasEnded(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.keeps = true
	f.run(2 * testHeartbeat)
	g.hearHigherTerms()
	require.Zero(t, g.node().Lease())
	deadline := g.node().HandedTo()
	require.Greater(t, deadline, f.now)
	g.HoldersChanged(g.Default()) // another program comes or goes
	require.Equal(t, deadline, g.node().HandedTo(), "the work goes on")
	l.holders.Attached = 0
	g.HoldersChanged(g.Default())
	require.Equal(t, deadline, g.node().HandedTo(), "its session has ended, and it has not")
	l.drain()
	require.Zero(t, g.node().HandedTo())
}
