package agent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// A forger with the key forges the last term, as a voter: nothing changes. Many smaller
// leaps are reported, and a recovery ends their effect.
func TestForgedTermsEndNoFlock(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.keys = [][]byte{key('x')}
		f.found(3)
		f.allAlive()
		a, flock := idOf(t, f.agents["a"].Status().ID), flockOf(t, f.agents["a"].Status().FlockID)
		s := f.stranger(1)
		ring, err := wire.NewKeyring("test", f.keys)
		require.NoError(t, err)
		s.ring = ring
		defer s.e.Close()
		f.sleep(30 * time.Second) // names are on the disks
		f.crash("a")              // the forger continues in its place, as its next start
		forge := func(term uint64) {
			for _, name := range []string{"b", "c"} {
				to := f.agents[name]
				s.send(to, &wire.Frame{
					From: a, Start: 2, Life: 1, Seq: term, FlockID: flock, To: idOf(t, to.Status().ID),
					Messages: []wire.Message{{Message: election.Message{Kind: election.Reject, Header: election.Header{Term: term}}}},
				})
			}
		}
		forge(election.MaxTerm)
		f.until(time.Minute, "refused", func() bool { return f.agents["b"].Status().Counters["election_implausible_messages"] > 0 })
		f.sleep(10 * time.Second)
		f.until(time.Minute, "a goose", func() bool { return f.goose() != "" })
		require.Less(t, f.agents["b"].Status().Term, uint64(100))

		forge(election.MaxTerm / 2)
		f.until(time.Minute, "a goose of a forged term", func() bool { return f.goose() != "" && f.agents["b"].Status().Term > election.MaxTerm/2 })
		f.warns(time.Minute, "b", "of at most 1099511627775: no flock gets that far by itself")
		require.Equal(t, api.WhySpent, f.why("b").Reasons[0].Kind)

		token := f.agents[f.goose()].Status().Token
		f.crash("b")
		f.crash("c")
		for _, name := range []string{"a", "b", "c"} {
			_, err := f.recover(name, "a", "b", "c")
			require.NoError(t, err)
		}
		for _, name := range []string{"a", "b", "c"} {
			f.start(name)
		}
		f.settle(3)
		st := f.agents[f.goose()].Status()
		require.Greater(t, st.Token, token)
		require.Less(t, st.Term, uint64(100), "terms begin anew")
	})
}
