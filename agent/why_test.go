package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// why has an agent explain itself, while the promises are judged.
func (f *testFlock) why(name string) (w api.Why) {
	f.t.Helper()
	require.NoError(f.t, f.await(func() (err error) {
		w, err = f.agents[name].Why(context.Background())
		return err
	}))
	return w
}

// reason gives the first reason of a kind.
func reason(t *testing.T, w api.Why, kind string) api.WhyReason {
	t.Helper()
	for _, r := range w.Reasons {
		if r.Kind == kind {
			return r
		}
	}
	require.FailNow(t, "no such reason", "%s in %+v", kind, w)
	return api.WhyReason{}
}

func TestGooseAndDucksTellWhy(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		goose, duck := f.goose(), f.ducks()[0]
		w := f.why(goose)
		require.Equal(t, api.RoleGoose, w.Role)
		require.Equal(t, "3 of 3 voters keep a promise to it, and 2 are needed", reason(t, w, api.WhyLease).Text)
		require.Len(t, w.Reasons, 1)
		for _, v := range w.Voters {
			if v.Name != goose {
				require.Equal(t, goose, v.PromisedTo)
				require.InDelta(t, 450, *v.Promised, 50)
				require.Less(t, *v.Heard, 60.)
			}
		}
		w = f.why(duck)
		require.Equal(t, goose, w.Goose)
		require.Contains(t, reason(t, w, api.WhyFollows).Text, "it has promised "+goose+" to elect nobody else for ")
		require.Equal(t, 3, w.Reachable)
	})
}

func TestTheSurvivorOfThreeNamesWhoIsMissing(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		left := f.ducks()[0]
		for _, name := range f.others(left) {
			f.crash(name)
		}
		f.sleep(3 * time.Second)
		w := f.why(left) // gossip may not have noticed yet; that nobody answers shows
		require.Equal(t, "there is no goose: 1 of 3 voters can be reached, and 2 are needed", w.Summary)
		require.Contains(t, reason(t, w, api.WhyNoMajority).Text, "its last datagram came 3")
		f.sleep(time.Minute)
		w = f.why(left)
		require.Contains(t, reason(t, w, api.WhyNoMajority).Text, "gossip counts it as failed")
		require.Contains(t, reason(t, w, api.WhyNoMajority).Remedy, "again")
	})
}

// Gossip is slowest where most have died at once: nobody is left to confirm a
// suspicion. Until it knows, nobody is to be sent to look at a network that is well.
func TestAsLongAsGossipCountsTheDeadAliveTheyMayJustHaveDied(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		left := f.ducks()[0]
		for _, name := range f.others(left) {
			f.crash(name)
		}
		f.sleep(3 * time.Second) // it has asked for votes, and nobody has answered
		seen := 0
		for alive := true; alive; f.sleep(time.Second) {
			alive = false
			for _, r := range f.why(left).Reasons {
				if r.Kind != api.WhyNoMajority || !strings.Contains(r.Text, "gossip counts it alive") {
					continue
				}
				alive = true
				seen++
				require.Contains(t, r.Remedy, "it may just have died: start ", r.Text)
				require.Contains(t, r.Remedy, "; else look at UDP between the two", r.Text)
			}
		}
		require.Positive(t, seen)
	})
}

func TestVotersTellWhomTheyHavePromised(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		long := func(c *Config) { c.Heartbeat, c.Lease = 500*time.Millisecond, 5*time.Second }
		for i := range 3 {
			f.start(nth(i), joining("10.0.0.1"), expecting(3), long)
		}
		f.settle(3)
		f.allAlive()
		goose, ducks := f.goose(), f.ducks()
		// One restarts: it knows no goose until it hears one, and that is cut.
		f.crash(ducks[0])
		require.NoError(t, f.agents[goose].faults.Set(f.agents[ducks[0]].addr.String()+": cut", 0))
		f.start(ducks[0], joining("10.0.0.1"), expecting(3), long)
		f.until(10*time.Second, "gossip", func() bool { return f.agents[ducks[0]].Status().Alive >= 2 })
		w := f.why(ducks[0])
		require.Empty(t, w.Goose)
		require.Contains(t, reason(t, w, api.WhyRestarted).Text, "it has restarted, and neither votes nor campaigns for ")
		require.Contains(t, reason(t, w, api.WhyPromised).Text, ducks[1]+" has promised "+goose+" to elect nobody else for ")
	})
}

func TestAFoundingAndADeathAreExplained(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", joining("10.0.0.1"), expecting(2))
		f.sleep(time.Second)
		require.Contains(t, reason(t, f.why("a"), api.WhyFounding).Text, "waiting for 1 more of 2: have a")
		f.start("b", joining("10.0.0.9"))
		f.sleep(time.Second)
		require.Contains(t, reason(t, f.why("b"), api.WhyJoining).Text, "10.0.0.9")
		require.NoError(t, f.agents["a"].Die(0))
		require.Equal(t, "ddgoose simulate revive", reason(t, f.why("a"), api.WhyDead).Remedy)
		require.NoError(t, f.agents["a"].Revive())
	})
}

func TestALoopThatHangsIsExplainedWithoutIt(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		duck := f.ducks()[0]
		release := make(chan struct{})
		require.NoError(t, f.agents[duck].do(context.Background(), func(*life) error {
			<-release
			return nil
		}))
		w := f.why(duck)
		require.Contains(t, reason(t, w, api.WhyLoop).Text, "has not turned for 1s")
		require.InDelta(t, 1000, w.Stale, 20)
		require.Len(t, w.Voters, 3)
		close(release)
		f.until(time.Second, "it turns again", func() bool { return f.agents[duck].Healthy() == nil })
		require.Zero(t, f.why(duck).Stale)
	})
}
