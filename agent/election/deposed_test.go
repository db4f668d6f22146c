package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newLeader makes "a" the leader of three voters, by the cluster's own election.
func newLeader(t *testing.T) (*cluster, *member) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Second)
	c.run(200 * time.Millisecond)
	return c, c.nodes[g]
}

// The game this grew from kept its goose when it took a higher term: two geese
// in one term. A heartbeat shows the term without a config once the config is
// acknowledged, so the heartbeat alone must depose.
func TestRule08GooseThatTakesAHigherTermIsGooseNoMore(t *testing.T) {
	for _, promise := range []time.Duration{0, 500 * time.Millisecond} {
		c, m := newLeader(t)
		n := &m.node
		other := "b"
		if m.name == "b" {
			other = "c"
		}
		term := n.rec.Term + 1
		beat := Message{
			Kind: Heartbeat, Round: 1, Promise: promise,
			Header: Header{
				FlockID: testFlock, From: idOf(other), To: n.set.ID, Term: term,
				ConfigID: ConfigID{Term: term, Version: n.rec.Config.Version},
			},
		}
		n.Step(c.now, &beat, &m.fx)
		require.Equal(t, Follower, n.role)
		require.Zero(t, n.lease)
		require.Equal(t, term, n.rec.Term)
		require.Equal(t, idOf(other), n.rec.Vote, "rule 8")
	}
}

func TestRule05LeaderCannotBecomeAWitness(t *testing.T) {
	c, m := newLeader(t)
	require.ErrorIs(t, c.step(m.name, Change{Voter: Voter{m.node.set.ID, 0}}), ErrInvalid)
	require.NoError(t, c.step(m.name, Change{Voter: Voter{m.node.set.ID, 7}}))
}

// Work that goes on past its lease keeps its agent from every kind of campaign.
func TestRule12LateWorkKeepsFromCampaigning(t *testing.T) {
	t.Run("to raise the term", func(t *testing.T) {
		c, m := newLeader(t)
		term := m.node.rec.Term
		require.NoError(t, c.step(m.name, Busy{Late: true}))
		require.NoError(t, c.step(m.name, RaiseTerm{Term: term + 5}))
		for end := c.now + 300*time.Millisecond; c.next(end); {
			require.LessOrEqual(t, m.node.rec.Term, term+1)
			require.NotEqual(t, Candidate, m.node.role)
		}
		require.NoError(t, c.step(m.name, Busy{}))
		c.until(time.Second, "the raised term", func() bool { return m.node.rec.Term == term+6 })
	})
	t.Run("and ends one that has begun", func(t *testing.T) {
		c := newCluster(t, "a", "b", "c")
		c.kill("b")
		c.kill("c")
		m := c.nodes["a"]
		c.until(time.Second, "a to ask", func() bool { return m.node.role == PreCandidate })
		require.NoError(t, c.step("a", Busy{Late: true}))
		for end := c.now + 2*time.Second; c.next(end); {
			require.Equal(t, Follower, m.node.role)
		}
	})
}

// A voter that was paused answers an old round late: that says nothing of how far away it is.
func TestRoundTripsAreBoundedByTheLease(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	p := &n.peers[0]
	p.rtt = 0
	late := Message{
		Kind: HeartbeatAck, Round: n.round, Promise: 0,
		Header: Header{FlockID: testFlock, From: p.id, To: n.set.ID, Term: n.rec.Term, ConfigID: n.rec.Config.ConfigID},
	}
	p.round = n.round - 1
	n.Step(c.now+3*time.Second, &late, &m.fx)
	require.LessOrEqual(t, p.rtt, n.set.Lease)
}

// A leader is one of its majority: of three voters the quicker other one decides.
func TestRoundTripIsTheQuickMajoritys(t *testing.T) {
	_, m := newLeader(t)
	n := &m.node
	n.peers[0].rtt, n.peers[1].rtt = 4*time.Millisecond, 90*time.Millisecond
	require.Equal(t, 4*time.Millisecond, n.roundTrip())
}
