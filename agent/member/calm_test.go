package member

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// calmOf returns a flock with election x, and an agent for which x is calm.
func calmOf(t *testing.T) (f *testFlock, d *testAgent, at *testLocal) {
	f = flockOf(t, 3, "x")
	d = f.goose("x").other()
	f.run(2 * time.Second)
	require.True(t, d.Named("x").Calm(f.now))
	require.False(t, d.Default().Calm(f.now), "the default election never is")
	require.False(t, f.goose("x").Named("x").Calm(f.now), "nor one that this agent leads")
	return f, d, d.locals["x"]
}

// Looks at an election that this agent does not even contest are spared, too.
func TestAnElectionInWhichThisAgentOnlyVotesIsCalm(t *testing.T) {
	f := newTestFlock(t)
	three := func(s *Settings) { s.Expect = 3 }
	a := f.start(contesting("x"), three)
	voters := []*testAgent{f.start(three), f.start(three)}
	f.voters(3)
	f.until(time.Minute, "x", func() bool { return voters[0].Named("x") != nil && voters[1].Named("x") != nil && f.leader("x") == a })
	f.run(2 * time.Second)
	for _, d := range voters {
		require.True(t, d.Named("x").Calm(f.now))
	}
	f.lost = func(_, _ *testAgent, _ *wire.Message) bool { return true }
	f.run(testLease + testHeartbeat)
	for _, d := range voters {
		require.False(t, d.Named("x").Calm(f.now))
	}
}

func TestReadersOfACalmElectionAreToldThatItsGooseWasHeard(t *testing.T) {
	f, d, at := calmOf(t)
	shows, heardAt := at.shows, at.view.HeardAt
	f.run(time.Second)
	require.Equal(t, shows, at.shows, "nothing else has changed")
	require.Greater(t, at.view.HeardAt, heardAt)
	require.Equal(t, at.view.HeardAt+testLease, at.view.Lapses)
	d.Republish(f.now, false)
	require.Equal(t, shows, at.shows)
	d.Republish(f.now, true)
	require.Equal(t, shows+1, at.shows)
	at.stale = true
	f.run(testHeartbeat + testHeartbeat/2)
	require.Greater(t, at.shows, shows+1, "readers who know of a lapse see all of it again")
}

func TestWhatChangesEndsTheCalm(t *testing.T) {
	for name, change := range map[string]func(f *testFlock, d *testAgent){
		"another goose": func(f *testFlock, d *testAgent) { f.stepDown("x", d) },
		"work waits":    func(_ *testFlock, d *testAgent) { d.attach("x") },
		"a check fails": func(_ *testFlock, d *testAgent) {
			d.locals["x"].holders.Health = Unwell
			d.HoldersChanged(d.Named("x"))
			d.turn()
		},
		"a member changes": func(f *testFlock, d *testAgent) {
			other := d.other()
			other.set.Tags = map[string]string{"zone": "b"}
			other.Reload(other.set)
			f.gossip()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, d, at := calmOf(t)
			shows := at.shows
			change(f, d)
			f.run(testHeartbeat + testHeartbeat/2)
			require.Greater(t, at.shows, shows)
		})
	}
}

func TestWhereWorkIsOrACheckFailsNothingIsCalm(t *testing.T) {
	for name, holders := range map[string]Holders{
		"work waits": {Attached: 1}, "it does not answer": {Attached: 1, Working: 1, Silent: 1}, "a check fails": {Health: Unwell},
	} {
		t.Run(name, func(t *testing.T) {
			f, d, at := calmOf(t)
			set := func(holders Holders) {
				at.holders = holders
				d.HoldersChanged(d.Named("x"))
				d.turn()
				f.run(3 * lookEvery) // too short for the goose to come to the work
			}
			set(holders)
			require.False(t, d.Named("x").Calm(f.now))
			set(Holders{})
			require.True(t, d.Named("x").Calm(f.now))
		})
	}
}

func TestALostGooseEndsTheCalm(t *testing.T) {
	f, d, at := calmOf(t)
	x := d.Named("x")
	f.lost = func(_, _ *testAgent, _ *wire.Message) bool { return true }
	f.run(testLease + testHeartbeat)
	require.False(t, x.Calm(f.now))
	require.Equal(t, election.ID{}, at.view.Goose)
	require.Less(t, f.now-x.goosedAt, testLease+lookEvery+3*testHeartbeat, "looks at a calm election know that it has a goose")
}

// checkReaders checks, after a turn, that readers of an election were shown what a full view
// of it has, and that a look at it does nothing while it is calm, unless all are due.
func (a *testAgent) checkReaders(e *Election) {
	t, now := a.f.t, a.f.now
	var v View
	e.fill(now, &v)
	require.Equal(t, v, a.locals[e.name].view, "%s, %q", a.name, e.name)
	if !e.Calm(now) || a.lookAll {
		return
	}
	node, was := *e.node, *e
	e.look(now, a.node().ConfigID())
	is := *e // with times, and the term of the default election's goose, which changes no voters
	is.goosedAt, is.asks, is.reviewAt, is.viewed.config.Term = was.goosedAt, was.asks, was.reviewAt, was.viewed.config.Term
	require.True(t, reflect.DeepEqual(was, is) && node == *e.node, "%s, %q", a.name, e.name)
}
