package election

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Agents come into view in any order, and a config may name others or lack this node.
func TestTheKthLatestAndVotersInViewAreFoundInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	value := func(p *peer) time.Duration { return p.path }
	for range 2_000 {
		n := &Node{set: Settings{ID: ID{byte(r.IntN(20))}}}
		for _, i := range r.Perm(20)[:r.IntN(maxPeers+1)] {
			if id := (ID{byte(i)}); id != n.set.ID {
				n.peers[n.npeers] = peer{id: id, path: time.Duration(r.IntN(9) - 2)}
				n.npeers++
			}
		}
		c := &n.rec.Config
		for _, i := range r.Perm(20)[:r.IntN(MaxVoters+1)] {
			c.Voters[c.N].ID = ID{byte(i)}
			c.N++
		}
		if r.IntN(2) == 0 {
			slices.SortFunc(c.Voters[:c.N], func(a, b Voter) int { return a.ID.Compare(b.ID) })
		}
		self := time.Duration(r.IntN(9) - 2)
		var want []time.Duration
		for i, v := range c.Members() {
			p := n.peerOf(v.ID)
			require.Same(t, p, n.peerNear(i, &v.ID))
			switch {
			case v.ID == n.set.ID:
				want = append(want, self)
			case p != nil:
				want = append(want, p.path)
			default:
				want = append(want, 0)
			}
		}
		slices.Sort(want)
		slices.Reverse(want)
		for k := -1; k <= MaxVoters+1; k++ {
			var latest time.Duration
			if k >= 1 && k <= len(want) {
				latest = want[k-1]
			}
			require.Equal(t, latest, n.kthLatest(c, k, self, value))
		}
	}
}
