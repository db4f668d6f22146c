package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

// sets sets the result of the check of an agent's work.
func (a *testAgent) sets(name string, h Health) {
	a.locals[name].holders.Health = h
	a.HoldersChanged(a.Named(name))
	a.fed = true
}

// detach ends a program.
func (a *testAgent) detach(name string) {
	a.locals[name].holders.Attached = 0
	a.locals[name].drain()
	a.HoldersChanged(a.Named(name))
	a.fed = true
}

// stays lets time pass, in which the goose must not change.
func (f *testFlock) stays(g *testAgent, d time.Duration) {
	for end := f.now + d; f.now < end; {
		f.step(end)
		if now := f.goose(""); now != nil {
			require.Equal(f.t, g.name, now.name)
		}
	}
}

func TestRule28GooseWithoutWorkHandsOverToWhereWorkIs(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	f.stays(g, 3*time.Second) // nobody has work
	other := g.other()
	other.attach("")
	start := f.now
	f.until(3*time.Second, "the goose is where the work is", func() bool { return f.goose("") == other })
	require.GreaterOrEqual(t, f.now-start, workFor)
	require.Len(t, g.told(EventFollowsWork), 1)

	g.attach("")
	f.stays(other, 5*time.Second) // both have work

	other.detach("")
	start = f.now
	f.until(3*time.Second, "back", func() bool { return f.goose("") == g })
	require.GreaterOrEqual(t, f.now-start, workFor, "a program that only restarts keeps its goose")
	g.detach("")
	f.stays(g, 5*time.Second)
}

func TestRule28WorkWinsOverPriority(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	other := g.other()
	other.set.Priority, other.set.PreemptAfter = 200, time.Second
	other.Reload(other.set)
	g.attach("")
	f.stays(g, 20*time.Second)
	other.attach("")
	f.until(10*time.Second, "now the priority counts", func() bool { return f.goose("") == other })
}

func TestRule28UnwellGooseHandsOverAtOnceOrResigns(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	term := g.Default().Node().Record().Term
	g.sets("", Unwell)
	f.until(time.Second, "a well one leads", func() bool { now := f.goose(""); return now != nil && now != g })
	second := f.goose("")
	require.Equal(t, term+1, second.Default().Node().Record().Term)

	second.sets("", Unwell)
	f.until(2*time.Second, "the last well one leads", func() bool { now := f.goose(""); return now != nil && now != g && now != second })
	third := f.goose("")
	f.stays(third, 10*time.Second) // two of three are unwell, and no term is used up
	require.Equal(t, term+2, third.Default().Node().Record().Term)

	third.sets("", Unwell)
	f.until(2*time.Second, "no goose, as nobody is well", func() bool { return third.locals[""].lease.Until <= f.now })
	f.run(10 * time.Second)
	for _, a := range f.agents {
		require.LessOrEqual(t, a.locals[""].lease.Until, f.now)
		require.Equal(t, term+2, a.Default().Node().Record().Term, "nobody campaigns")
		require.Equal(t, Unwell, a.meta.Health)
	}
	for range 3 { // each time at once, even soon after the last one
		second.sets("", Well)
		f.until(2*time.Second, "well again", func() bool { return f.goose("") == second })
		second.sets("", Unwell)
		f.until(time.Second, "and unwell", func() bool { return second.locals[""].lease.Until <= f.now })
	}
}

// A goose whose check passes again before it has given up the lead stays the goose if nobody
// else is well, and its work begins again under the same token.
func TestRule28GooseThatIsWellAgainInTimeStaysTheGoose(t *testing.T) {
	for _, agents := range []int{1, 3} {
		f := flockOf(t, agents)
		g := f.goose("")
		l := g.attach("")
		l.keeps, l.holders.Grace = true, 3*time.Second
		f.until(time.Second, "it works", func() bool { return l.holders.Working > 0 })
		for _, a := range f.agents {
			if a != g {
				a.sets("", Unwell)
			}
		}
		f.run(time.Second) // the goose hears of it
		lease := l.lease
		for range 2 { // each time at once
			g.sets("", Unwell)
			f.until(time.Second, "work is told to end", func() bool { return g.Default().handover != nil })
			f.run(time.Second)
			g.sets("", Well)
			require.Nil(t, g.Default().handover)
			require.Zero(t, g.handovers)
			f.run(l.holders.Grace)
			l.drain()
			f.until(time.Second, "it works again", func() bool { return l.holders.Working > 0 })
		}
		require.Equal(t, []Cause{SteppedDown, SteppedDown}, l.stops)
		require.Empty(t, l.causes, "the lease was never lost")
		require.Equal(t, lease.Token, l.lease.Token)
		require.Len(t, g.told(EventWellAgain), 2)
	}
}

// unwellGoose returns the goose of a flock of three whose check has just failed. Its work is told to
// end, and takes all of its grace.
func unwellGoose(t *testing.T, grace time.Duration) (*testFlock, *testAgent) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.keeps, l.holders.Grace = true, grace
	f.until(time.Second, "it works", func() bool { return l.holders.Working > 0 })
	g.sets("", Unwell)
	f.until(time.Second, "work is told to end", func() bool { return g.Default().handover != nil })
	return f, g
}

// A check that passes whenever work ends, and fails whenever it works, must not keep the work from
// an agent that is well.
func TestRule28GooseThatIsWellAgainHandsOverToAWellOne(t *testing.T) {
	f, g := unwellGoose(t, 3*time.Second)
	g.sets("", Well)
	f.until(10*time.Second, "another goose", func() bool { now := f.goose(""); return now != nil && now != g })
	require.Empty(t, g.told(EventWellAgain))
}

// What a person asks for meanwhile is done, however well the goose is.
func TestRule28StopOfAnUnwellGooseIsNotCancelled(t *testing.T) {
	f, g := unwellGoose(t, time.Second)
	g.Stop(Stopped)
	g.sets("", Well)
	require.NotNil(t, g.Default().handover)
	f.until(5*time.Second, "the life ends", func() bool { return !g.up })
	require.NotEqual(t, g, f.goose(""))
}

func TestRule28FrozenFlockKeepsItsGoose(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	notice, err := g.StampFreeze(1, time.Minute)
	require.NoError(t, err)
	g.TakeFreeze(notice)
	g.fed = true
	f.run(time.Second)
	g.sets("", Unwell)
	g.other().attach("")
	f.stays(g, 5*time.Second)
}

func TestRule28UnwellAgentIsNotAskedByAPerson(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	other := g.other()
	other.sets("", Unwell)
	f.run(time.Second)
	err, done := g.stepDown("", other, false)
	require.True(t, *done)
	refusedBy(t, IsUnwell, *err)
	require.Equal(t, election.Unwell, other.Default().fitness)
}

// A stopped program keeps the goose until another agent has work. Until its last
// deadline has passed, no other agent is the goose.
func TestRule28WorkThatDoesNotAnswerIsNone(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.holders.Grace, l.keeps = time.Hour, true
	f.until(time.Second, "it works", func() bool { return l.holders.Working > 0 })
	l.holders.Silent = 1
	f.stays(g, 5*time.Second)
	require.Greater(t, l.lease.Until, f.now, "the lease is renewed still")

	other := g.other()
	start, last := f.now, time.Duration(0)
	other.attach("")
	f.until(5*time.Second, "the goose is where work answers", func() bool {
		if l.lease.Until != 0 {
			last = l.lease.Until
		}
		return f.goose("") == other
	})
	require.GreaterOrEqual(t, f.now, last, "it may have acted until then")
	require.Less(t, f.now-start, workFor+3*testLease, "its grace was not waited for")
	f.stays(other, 5*time.Second)

	l.holders.Silent = 0
	l.drain()
	other.detach("")
	f.until(5*time.Second, "it answers again", func() bool { return f.goose("") == g })
}

// falls makes the goose's work stop answering, and returns how long it took until the
// other agent, whose work answers, was the goose.
func (g *testAgent) falls(other *testAgent) time.Duration {
	f, start := g.f, g.f.now
	g.locals[""].holders.Silent = 1
	f.until(20*time.Second, "the goose is where work answers", func() bool { return f.goose("") == other })
	g.locals[""].holders.Silent = 0
	g.locals[""].drain()
	return f.now - start
}

// Work that does not answer does nothing, so a hand-over at once loses nothing.
func TestRule28WorkThatDoesNotAnswerWaitsForNoPause(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	other := g.other()
	g.attach("").keeps = true
	other.attach("").keeps = true
	f.stays(g, 3*time.Second)
	from := f.now
	for range 2 {
		for _, a := range []*testAgent{g, other} {
			now := f.goose("")
			f.stays(now, workFor+time.Second) // the other work has waited for long enough
			took := now.falls(map[*testAgent]*testAgent{g: other, other: g}[now])
			require.Less(t, took, workFor+lookEvery+100*time.Millisecond, "%s: the silence of a lease comes before that", a.name)
		}
	}
	require.Less(t, f.now-from, 2*fitterEvery)
}

// Work that stops and continues all the time on two machines does not move the goose
// back and forth.
func TestRule28WorkThatStopsAgainAndAgainKeepsTheGooseEverLonger(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	other := g.other()
	g.attach("").keeps = true
	other.attach("").keeps = true
	f.stays(g, 3*time.Second)
	term := g.Default().Node().Record().Term
	const during = 2 * time.Minute
	for end := f.now + during; f.now < end; {
		now := f.goose("")
		now.falls(map[*testAgent]*testAgent{g: other, other: g}[now])
	}
	changes := f.goose("").Default().Node().Record().Term - term
	require.LessOrEqual(t, changes, uint64(2*during/fitterEvery+10))
}

// Who asks for the goose's end while an unwell one hands over is refused, as that ends it; so
// it must, even if the check passes again.
func TestRule28WhatWasAskedForMeanwhileIsDoneHoweverWellTheGooseIs(t *testing.T) {
	for name, ask := range map[string]func(t *testing.T, g *testAgent){
		"a step-down": func(t *testing.T, g *testAgent) {
			g.StepDown(g.Default(), election.ID{}, false, func(_ election.ID, err error) { refusedBy(t, HandoverUnderWay, err) })
		},
		"the end of one of two works": func(_ *testing.T, g *testAgent) { g.WorkEnded(g.Default(), g.locals[""].lease.Token) },
		"a leave":                     func(_ *testing.T, g *testAgent) { g.leaves(false) },
	} {
		t.Run(name, func(t *testing.T) {
			f, g := unwellGoose(t, time.Second)
			ask(t, g)
			g.sets("", Well)
			require.NotNil(t, g.Default().handover)
			f.until(5*time.Second, "another goose", func() bool { now := f.goose(""); return now != nil && now != g })
			require.Empty(t, g.told(EventWellAgain))
		})
	}
}
