package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

func TestAHandoverWaitsForWorkAndForItsGraceAtMost(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.keeps, l.holders.Grace = true, 3*time.Second
	f.run(2 * testHeartbeat)
	err, done := g.stepDown("", nil, false)
	again, _ := g.stepDown("", nil, false)
	refusedBy(t, HandoverUnderWay, *again)
	require.Equal(t, []Cause{SteppedDown}, l.stops)
	f.run(2 * time.Second)
	require.False(t, *done)
	require.Greater(t, l.lease.Until, f.now, "the lease is renewed while work ends")
	l.drain()
	f.until(time.Second, "handed over", func() bool { return *done })
	require.NoError(t, *err)
	next := f.goose("")
	require.NotEqual(t, g.name, next.name)

	l = next.attach("")
	l.keeps, l.holders.Grace = true, time.Second
	f.run(2 * testHeartbeat)
	_, done = next.stepDown("", nil, false)
	began := f.now
	f.until(5*time.Second, "handed over", func() bool { return *done })
	require.GreaterOrEqual(t, f.now-began, time.Second)
	require.Less(t, f.now-began, 2*time.Second+2*testLease)
}

func TestAHandoverIsRefusedBeforeAnyWorkIsStopped(t *testing.T) {
	f := flockOf(t, 3)
	g, d := f.goose(""), f.duck()
	l := g.attach("")
	err, _ := d.stepDown("", nil, false)
	refusedBy(t, NotGoose, *err)
	require.Equal(t, g.me, (*err).(*Refusal).Agent)
	err, _ = g.stepDown("", g, false)
	refusedBy(t, NotVoter, *err)
	d.crash()
	f.run(2 * testLease)
	err, _ = g.stepDown("", d, false)
	refusedBy(t, Unreachable, *err)
	require.Empty(t, l.stops)
	require.NotZero(t, l.lease)
}

func TestAHandoverThatNobodyTakesEnds(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	f.lost = func(_, _ *testAgent, m *wire.Message) bool { return m.Kind == election.TimeoutNow }
	err, done := g.stepDown("", nil, false)
	f.until(5*time.Second, "ended", func() bool { return *done })
	refusedBy(t, NobodyResigned, *err)
	f.lost = nil
	require.NotNil(t, f.goose(""))
	require.Zero(t, g.handovers)
}

func TestAGooseIsElectedAnewAboveATermThatAnotherShows(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	rec := g.node().Record()
	g.Default().raiseTerm(rec.Term + 5)
	g.fed = true
	f.until(2*time.Second, "elected anew", func() bool { return g.node().Record().Term > rec.Term+5 && g.locals[""].lease.Until > f.now })
	require.Zero(t, g.handovers)
}

func TestAStopEndsTheLifeThoughWorkGoesOn(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.keeps, l.holders.Grace = true, 500*time.Millisecond
	f.run(2 * testHeartbeat)
	g.Stop(Stopped)
	g.fed = true
	began := f.now
	f.until(10*time.Second, "ended", func() bool { return !g.up })
	require.LessOrEqual(t, f.now-began, l.holders.Grace+4*testLease+testHeartbeat)
	require.Equal(t, Stopped, l.stops[0])
}

func TestWorkThatEndsByItselfStepsDownOnlyTheGooseOfItsToken(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	token := g.locals[""].lease.Token
	g.WorkEnded(g.Default(), token-1)
	require.Nil(t, g.Default().handover)
	g.WorkEnded(g.Default(), token)
	require.NotNil(t, g.Default().handover)
	g.fed = true
	f.until(5*time.Second, "another goose", func() bool { return f.goose("") != g })
}
