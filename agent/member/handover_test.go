package member

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

func TestAHandOverWaitsForWorkAtMostItsGrace(t *testing.T) {
	f := flockOf(t, 3)
	for _, keeps := range []bool{false, true} {
		g := f.goose("")
		l := g.attach("")
		l.holders.Grace, l.keeps = 2*time.Second, keeps
		f.until(time.Second, "it works", func() bool { return l.holders.Working > 0 })
		start := f.now
		err, done := g.stepDown("", nil, false)
		require.Equal(t, []Cause{SteppedDown}, l.stops)
		require.True(t, g.Default().HandingOver())
		if keeps {
			f.run(2*time.Second - testHeartbeat)
			require.False(t, *done)
			require.Greater(t, l.lease.Until, f.now, "the lease is renewed meanwhile")
			second, told := g.stepDown("", nil, false)
			require.True(t, *told)
			refusedBy(t, HandoverUnderWay, *second)
			require.False(t, *done)
		}
		f.until(5*time.Second, "handed over", func() bool { return *done })
		require.NoError(t, *err)
		if keeps {
			require.GreaterOrEqual(t, f.now-start, l.holders.Grace)
			require.Less(t, f.now-start, l.holders.Grace+2*testLease, "its deadline has passed, too")
			l.drain()
		} else {
			require.Less(t, f.now-start, testLease)
		}
		require.False(t, g.Default().HandingOver())
		require.NotEqual(t, g, f.goose(""))
		l.holders.Attached = 0
		g.HoldersChanged(g.Default())
		g.fed = true
	}
}

func TestAProgramThatComesDuringAHandOverGetsNoDeadline(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.holders.Grace, l.keeps = time.Second, true
	f.until(time.Second, "it works", func() bool { return l.holders.Working > 0 })
	_, done := g.stepDown("", nil, false)
	l.holders.Attached++
	g.log = nil
	g.HolderAttached(g.Default())
	require.Zero(t, count(g.log, "grant"))
	f.until(5*time.Second, "handed over", func() bool { return *done })
}

func TestAProgramThatComesGetsTheDeadlineThatStands(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	g.log = nil
	g.attach("")
	require.Equal(t, 1, count(g.log, "grant"))
	d := f.duck()
	d.log = nil
	d.attach("")
	require.Zero(t, count(d.log, "grant"))
	require.True(t, d.Default().node.Lease() == election.Lease{})
}

func TestWhatAStepDownIsRefusedFor(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	refusal := func(a, to *testAgent) *Refusal {
		err, done := a.stepDown("", to, false)
		require.True(t, *done)
		var r *Refusal
		require.ErrorAs(t, *err, &r)
		return r
	}
	d := g.other()
	require.Equal(t, &Refusal{Code: NotGoose, Agent: g.me, Addr: g.addr()}, refusal(d, nil))
	require.Equal(t, &Refusal{Code: NotVoter, Agent: g.me}, refusal(g, g))
	d.paused = true
	f.run(testLease - testHeartbeat)
	f.until(time.Second, "it does not answer", func() bool { return !g.Default().answers(f.now, d.me) && g.listen() })
	require.Equal(t, &Refusal{Code: Unreachable, Agent: d.me}, refusal(g, d))
	require.Empty(t, g.locals[""].stops, "no work is stopped in vain")
	d.paused = false

	f = newTestFlock(t)
	alone := f.start()
	require.Equal(t, &Refusal{Code: NotGoose}, refusal(f.start(), nil), "it is bound to no flock yet")
	f.goose("")
	require.Equal(t, &Refusal{Code: NoSuccessor}, refusal(alone, nil))
}

// justWon makes another agent of a flock win an election, and returns it before any voter has answered it.
func (f *testFlock) justWon(name string) (won *testAgent) {
	f.t.Helper()
	g := f.goose(name)
	g.stepDown(name, nil, false)
	f.until(5*time.Second, "another has won", func() bool {
		won = nil
		for _, a := range f.agents {
			if e := a.Named(name); a != g && e.node.Role() == election.Leader && e.node.Lease().Token == 0 {
				won = a
			}
		}
		return won != nil
	})
	return won
}

func TestRule16StepDownRightAfterAWinWaitsForTheFirstRound(t *testing.T) {
	for _, name := range []string{"", "x"} {
		for _, named := range []bool{false, true} {
			f := flockOf(t, 3, "x")
			won := f.justWon(name)
			l := won.attach(name)
			var to *testAgent
			if named {
				to = f.agents[(slices.Index(f.agents, won)+1)%3]
			}
			start := f.now
			err, done := won.stepDown(name, to, false)
			require.False(t, *done)
			f.until(5*time.Second, "handed over", func() bool { return *done })
			require.NoError(t, *err)
			require.Less(t, f.now-start, testLease/2)
			require.Zero(t, l.holders.Working, "no work begins that would end at once")
			g := f.goose(name)
			require.NotEqual(t, won, g)
			require.True(t, to == nil || to == g)
		}
	}
}

func TestAStepDownRightAfterAWinIsRefusedWhenNobodyAnswers(t *testing.T) {
	f := flockOf(t, 3)
	won := f.justWon("")
	l := won.attach("")
	dead := f.agents[(slices.Index(f.agents, won)+1)%3]
	dead.crash()
	err, done := won.stepDown("", dead, false)
	f.until(testLease+2*testHeartbeat, "it ends", func() bool { return *done })
	require.Equal(t, &Refusal{Code: Unreachable, Agent: dead.me}, *err)
	f.until(time.Second, "it works", func() bool { return l.holders.Working > 0 })
	require.Equal(t, won, f.goose(""))
}

func TestAStepDownRightAfterAWinWaitsForOneAnswer(t *testing.T) {
	f := flockOf(t, 3)
	won := f.justWon("")
	f.agents[(slices.Index(f.agents, won)+1)%3].crash()
	err, done := won.stepDown("", nil, false)
	f.until(testLease/2, "handed over", func() bool { return *done })
	require.NoError(t, *err)
}

func TestAStopRightAfterAWinHandsOver(t *testing.T) {
	f := flockOf(t, 3)
	won := f.justWon("")
	won.Stop(Stopped)
	won.fed = true
	f.until(testLease, "the life ends", func() bool { return !won.up })
	require.Len(t, won.told(EventHandedOver), 1)
}

// listen brings the contacts up to date.
func (a *testAgent) listen() bool {
	a.Default().contacts = a.Default().node.Contacts(nil)
	return true
}

func TestADuckThatHearsNobodyNamesNoGoose(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	d := g.other()
	d.paused = true
	f.now += testLease
	err, done := d.stepDown("", nil, false)
	require.True(t, *done)
	require.Equal(t, &Refusal{Code: NotGoose}, *err)
}

func TestAGooseThatNobodyRelievesResigns(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	f.lost = func(_, _ *testAgent, m *wire.Message) bool { return m.Kind == election.TimeoutNow }
	err, done := g.stepDown("", nil, false)
	f.until(5*time.Second, "it ends", func() bool { return *done })
	refusedBy(t, NobodyResigned, *err)
	require.NotNil(t, f.goose(""))
	require.Zero(t, g.handovers)
	require.False(t, g.Default().HandingOver())
}

func TestAHandOverThatNobodyHearsEndsAfterTwoLeases(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	err, done := g.stepDown("", nil, false)
	require.False(t, *done)
	start := f.now
	f.lost = func(_, to *testAgent, m *wire.Message) bool { // it hears nobody, and nobody is told that it resigned
		return to == g || m.Kind == election.Resign || m.Kind == election.TimeoutNow
	}
	g.hearHigherTerms()
	f.until(5*time.Second, "it ends", func() bool { return *done })
	require.Equal(t, &Refusal{Code: NobodyTookOver, For: 2 * testLease}, *err)
	require.InDelta(t, 2*testLease, f.now-start, float64(testHeartbeat))
}

func TestALeadThatIsLostWhileWorkEndsMayPassToAnother(t *testing.T) {
	f, g, goose, ended := handingOver(t)
	g.paused = true // until another has been elected
	f.run(3 * testLease)
	g.paused = false
	f.until(time.Second, "another leads", func() bool { return *ended })
	require.Equal(t, f.goose("").me, *goose)
	require.NotEqual(t, g.me, *goose)
}

func TestALeadThatIsLostAndWonAgainWhileWorkEndsIsHandedOverAllTheSame(t *testing.T) {
	f, g, goose, ended := handingOver(t)
	g.hearHigherTerms()
	g.turn()
	require.True(t, g.Default().handover.lost)
	f.until(time.Second, "it is elected again", func() bool { return g.node().Role() == election.Leader })
	f.run(time.Second)
	require.False(t, *ended, "work goes on, and has its grace")
	f.until(10*time.Second, "another leads", func() bool { return *ended })
	require.Equal(t, f.goose("").me, *goose)
	require.NotEqual(t, g.me, *goose)
}

// handingOver returns a flock whose goose hands over, and waits for work that does not end.
func handingOver(t *testing.T) (f *testFlock, g *testAgent, goose *election.ID, ended *bool) {
	f = flockOf(t, 3)
	g = f.goose("")
	l := g.attach("")
	l.keeps, l.holders.Grace = true, 3*time.Second
	f.until(time.Second, "it works", func() bool { return l.holders.Working > 0 })
	goose, ended = new(election.ID), new(bool)
	g.StepDown(g.Default(), election.ID{}, false, func(id election.ID, err error) {
		require.NoError(t, err)
		*goose, *ended = id, true
	})
	return f, g, goose, ended
}

func TestWorkThatEndsByItselfStepsDownUnlessItsTimeIsOver(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	token := g.node().Lease().Token
	g.WorkEnded(g.Default(), token-1)
	require.Nil(t, g.Default().handover, "of an earlier lead")
	d := g.other()
	d.WorkEnded(d.Default(), token)
	require.Nil(t, d.Default().handover)
	g.WorkEnded(g.Default(), token)
	require.NotNil(t, g.Default().handover)
	g.WorkEnded(g.Default(), token)
	g.fed = true
	f.until(5*time.Second, "handed over", func() bool { return g.Default().handover == nil })
	require.NotEqual(t, g, f.goose(""))
	require.Empty(t, g.told(EventWorkEnded))

	f = newTestFlock(t)
	alone := f.start()
	f.goose("")
	alone.WorkEnded(alone.Default(), alone.node().Lease().Token)
	require.Len(t, alone.told(EventWorkEnded), 1)
	refusedBy(t, NoSuccessor, alone.told(EventWorkEnded)[0].Err)
	unbound := f.start()
	unbound.WorkEnded(unbound.Default(), 0)
}

func TestAStopHandsOverAndEndsTheLife(t *testing.T) {
	f := flockOf(t, 3, "x", "y")
	g := f.goose("x")
	g.attach("x")
	f.run(testHeartbeat)
	led := 0
	for _, e := range g.elections {
		if e.node.Role() == election.Leader {
			led++
		}
	}
	start := f.now
	g.Stop(Stopped)
	g.Stop(LeaseLost)
	g.fed = true
	require.True(t, g.Stopping())
	for _, l := range g.locals {
		require.NotEmpty(t, l.stops, "all programs stop")
		for _, c := range l.stops {
			require.Equal(t, Stopped, c)
		}
	}
	f.until(5*time.Second, "the life ends", func() bool { return !g.up })
	require.NoError(t, g.err)
	require.Less(t, f.now-start, testLease)
	require.Len(t, g.told(EventHandedOver), led)
	for _, e := range g.told(EventHandedOver) {
		require.NotEqual(t, g.me, e.Peer)
	}
	require.NotEqual(t, g, f.goose("x"))
}

func TestADuckStopsAtOnce(t *testing.T) {
	f := flockOf(t, 3)
	d := f.duck()
	d.Stop(Stopped)
	done, err := d.Turn(f.now)
	require.NoError(t, err)
	require.True(t, done)
	require.Empty(t, d.told(EventHandedOver))

	unbound := newTestFlock(t).start(func(s *Settings) { s.Joins = true })
	unbound.Stop(Stopped)
	done, err = unbound.Turn(unbound.f.now)
	require.NoError(t, err)
	require.True(t, done)
}

func TestAStopEndsInTimeThoughNobodyTakesOver(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.keeps, l.holders.Grace = true, 3*time.Second
	f.run(testHeartbeat)
	for _, a := range f.agents {
		a.paused = a != g
	}
	start := f.now
	g.Stop(Stopped)
	g.fed = true
	f.until(time.Minute, "the life ends", func() bool { return !g.up })
	require.LessOrEqual(t, f.now-start, l.holders.Grace+4*testLease)
	require.GreaterOrEqual(t, f.now-start, 2*testLease)
}

func TestAnElectionThatHasEndedIsNotWonAgainWhileTheStopLasts(t *testing.T) {
	f := flockOf(t, 3, "x")
	g := f.goose("x")
	l := g.attach("x")
	l.keeps, l.holders.Grace = true, 4*time.Second
	f.run(testHeartbeat)
	g.Stop(Stopped)
	g.fed = true
	f.until(2*time.Second, "the default election has ended", func() bool { return g.Default().ended })
	require.NotEqual(t, g, f.goose(""))
	for _, a := range f.agents {
		if a != g {
			a.crash()
		}
	}
	f.run(500 * time.Millisecond)
	for _, a := range f.agents {
		if a != g {
			a.begin()
		}
	}
	f.run(time.Second)
	require.True(t, g.up)
	require.NotEqual(t, election.Leader, g.node().Role())
	require.Empty(t, slices.DeleteFunc(g.told(EventElection), func(e Event) bool {
		return e.Election != "" || e.What != election.EventCampaign
	}), "it does not even try")
}

func TestAStopDuringAHandOverWaitsForIt(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.keeps, l.holders.Grace = true, time.Second
	f.run(testHeartbeat)
	err, done := g.stepDown("", nil, false)
	g.Stop(Stopped)
	g.fed = true
	require.True(t, g.Default().handover.stop, "when nobody can take over it resigns")
	f.run(500 * time.Millisecond)
	require.True(t, g.up)
	f.until(5*time.Second, "the life ends", func() bool { return !g.up })
	require.True(t, *done, "what was asked for first is answered, too")
	require.NoError(t, *err)
	require.Len(t, g.told(EventHandedOver), 1)
}

func TestAStopEndsAHandOverThatWasOnlyToComeBack(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.keeps, l.holders.Grace = true, time.Second
	f.run(testHeartbeat)
	term := g.node().Record().Term
	g.Default().raiseTerm(term + 10)
	require.NotNil(t, g.Default().handover)
	g.Stop(Stopped)
	g.fed = true
	require.Zero(t, g.Default().handover.raiseTo)
	require.Equal(t, 1, g.handovers)
	f.until(5*time.Second, "the life ends", func() bool { return !g.up })
	require.Len(t, g.told(EventHandedOver), 1)
	require.Less(t, f.goose("").node().Record().Term, term+10)
}

func TestAGooseIsElectedAnewAboveATermThatAnotherShows(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	rec := g.node().Record()
	g.Default().raiseTerm(rec.Term + 5)
	g.fed = true
	f.until(2*time.Second, "elected anew", func() bool {
		return g.node().Record().Term > rec.Term+5 && g.locals[""].lease.Until > f.now
	})
	require.Zero(t, g.handovers)
}

func TestAnAgentAheadIsAddedOnceTheGooseHasRaisedItsTerm(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	f.run(testHeartbeat)
	a := f.start()
	b := f.start()
	f.until(5*time.Second, "they are bound", func() bool { return a.node() != nil && b.node() != nil })
	rec := a.node().Record()
	rec.Term += 20
	a.crash()
	a.saved = a.saved.WithRecord(rec)
	a.begin()
	g = f.voters(5)
	require.Greater(t, g.node().Record().Term, rec.Term)
	require.NotEmpty(t, l.stops, "work ends before the goose is elected anew")
}

func TestAPreemptionHandsOverToTheHigherPriority(t *testing.T) {
	f := newTestFlock(t)
	for i := range 3 {
		f.start(func(s *Settings) {
			s.Expect = 3
			if i == 2 {
				s.Priority, s.PreemptAfter = 200, 10*time.Second
			}
		})
	}
	c := f.agents[2]
	f.voters(3)
	if f.goose("") == c {
		c.crash()
		f.goose("")
		c.begin()
	}
	g := f.goose("")
	require.NotEqual(t, c, g)
	frozen, err := g.StampFreeze(1, 30*time.Second)
	require.NoError(t, err)
	g.fed = true
	f.run(frozen.Left - time.Second)
	require.Equal(t, g, f.goose(""), "not while the flock is frozen")
	f.until(time.Minute, "it takes over", func() bool { return f.goose("") == c })
	require.Len(t, g.told(EventPreempted), 1)
	require.Equal(t, c.me, g.told(EventPreempted)[0].Peer)
	require.Equal(t, 1, g.counts["preemptions"])
	require.Empty(t, g.told(EventNotPreempted))
}

func TestAGooseThatBecomesAWitnessHandsOver(t *testing.T) {
	for _, change := range []func(*Settings){
		func(s *Settings) { s.Priority = 0 },
		func(s *Settings) { s.Observer = true },
	} {
		f := flockOf(t, 3)
		g := f.goose("")
		change(&g.set)
		g.Reload(g.set)
		g.fed = true
		f.until(5*time.Second, "another leads", func() bool { return f.goose("") != g })
		require.Len(t, g.told(EventUnfit), 1)
		require.NoError(t, g.told(EventUnfit)[0].Err)
		require.Equal(t, f.goose("").me, g.told(EventUnfit)[0].Peer)
	}
}
