package agent

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

// bound tells until when an agent is bound by its holders.
func (f *testFlock) bound(name string) (until time.Duration) {
	f.onLoop(name, func(l *life) { until = l.node().HandedTo() })
	return until
}

func TestHoldersThatWorkAloneTakeTurns(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose := f.goose()
		a := f.agents[goose]
		e := a.byDefault()
		hold := func(who string, alone bool) *holder {
			h := e.newHolder(who)
			h.alone = alone
			require.NoError(t, f.await(func() error { return e.hold(context.Background(), h) }))
			f.sleep(time.Second)
			return h
		}
		token := func(h *holder) uint64 {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.mu.token
		}
		period := a.Status().Token
		one := hold("one", true)
		require.Equal(t, period, token(one))
		two := hold("two", true)
		require.Zero(t, token(two), "another works")
		require.Equal(t, period, token(hold("beside", false)), "one that shares")
		require.Equal(t, period, token(hold("one", true)), "a new connection of the same process")

		one.Drained(period, false)
		f.sleep(time.Second)
		require.Zero(t, token(two), "its other connection has not drained")
		e.at.holders.each(func(h *holder) {
			if h.who == "one" {
				h.Close()
			}
		})
		f.sleep(time.Second)
		require.Equal(t, goose, f.goose())
		require.Equal(t, period, token(two), "its turn, in the same period")
	})
}

// Rule 12: what one holder says is drained is its own. The agent stays bound as long as another acts.
func TestRule12OneHoldersEndReleasesNobodyElse(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose := f.goose()
		a := f.agents[goose]
		e := a.byDefault()
		hold := func() *holder {
			h := e.newHolder("test")
			require.NoError(t, f.await(func() error { return e.hold(context.Background(), h) }))
			return h
		}
		one, two := hold(), hold()
		f.sleep(time.Second)
		token := a.Status().Token
		require.Equal(t, 2, e.at.Holders().Working)
		require.Greater(t, f.bound(goose), f.clock())

		f.onLoop(goose, func(l *life) { // the lease is gone, and the holders do not know
			l.node().Step(l.now(), election.ClockJump{}, &election.Effects{})
		})
		one.Close()
		require.Equal(t, 1, e.at.Holders().Working)
		require.Greater(t, f.bound(goose), f.clock(), "the other acts")
		f.sleep(100 * time.Millisecond)

		two.Drained(token-1, true)
		require.Equal(t, 1, e.at.Holders().Working, "a former period's end says nothing of this one")
		require.Equal(t, goose, f.goose())

		two.Drained(token, false)
		two.Close()
		require.Zero(t, e.at.Holders().Attached)
		require.Zero(t, f.bound(goose), "nobody acts any more, and the node knows")
	})
}
