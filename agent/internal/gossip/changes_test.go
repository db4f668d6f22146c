package gossip

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

func TestChangesGiveWhatPeersGives(t *testing.T) {
	inFlock(t, 3, func(t *testing.T, f *flock) {
		a := f.agents[0]
		known := map[election.ID]member.Peer{}
		follow := func() {
			synctest.Wait()
			changed, forgotten := a.Changes()
			for _, p := range changed {
				known[p.ID] = p
			}
			for _, id := range forgotten {
				delete(known, id)
			}
			peers := a.Peers()
			require.Len(t, known, len(peers))
			for _, p := range peers {
				k := known[p.ID]
				k.RTT = p.RTT // changes all the time
				require.Equal(t, p, k)
			}
		}
		follow()
		changed, forgotten := a.Changes()
		require.Empty(t, changed, "nothing is given twice")
		require.Empty(t, forgotten)

		meta := f.see(1, 1).Meta
		meta.Work = true
		require.NoError(t, f.agents[1].SetMeta(meta))
		f.until("its work is told", func() bool { return f.see(0, 1).Meta.Work })
		follow()

		f.agents[2].Shutdown()
		f.until("it counts as failed", func() bool { return f.see(0, 2).State == member.Failed })
		follow()
		gone := f.agents[2].opts.ID
		a.MarkLeft(gone)
		follow()
		require.Equal(t, member.Left, known[gone].State)
		a.mu.Lock()
		a.mu.peers[gone].since = time.Now().Add(-goneListed)
		a.mu.Unlock()
		f.until("it is forgotten", func() bool { return !slices.ContainsFunc(a.Peers(), func(p member.Peer) bool { return p.ID == gone }) })
		follow()
		require.NotContains(t, known, gone)
	})
}
