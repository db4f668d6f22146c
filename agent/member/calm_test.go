package member

import (
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
		"members come or go": func(f *testFlock, d *testAgent) {
			f.gossip()
			d.membersNow++
			f.run(testHeartbeat)
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

func TestALostGooseEndsTheCalm(t *testing.T) {
	f, d, at := calmOf(t)
	x := d.Named("x")
	f.lost = func(_, _ *testAgent, _ *wire.Message) bool { return true }
	f.run(testLease + testHeartbeat)
	require.False(t, x.Calm(f.now))
	require.Equal(t, election.ID{}, at.view.Goose)
	require.Less(t, f.now-x.goosedAt, testLease+lookEvery+3*testHeartbeat, "looks at a calm election know that it has a goose")
}
