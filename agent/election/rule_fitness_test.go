package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRule28WellGoesBeforeWorkBeforePriority(t *testing.T) {
	c := newCluster(t)
	config := configOf("a", "b", "c", "d").With(Voter{idOf("a"), 250}).With(Voter{idOf("b"), 200}).With(Voter{idOf("e"), 0})
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		c.add(name, Record{FlockID: testFlock, Config: config, PromiseMax: 500 * time.Millisecond}, true)
	}
	require.Equal(t, "a", c.awaitGoose(time.Second))
	require.NoError(t, c.step("b", Fit{Unwell | HasWork}))
	require.NoError(t, c.step("d", Fit{HasWork}))
	c.run(200 * time.Millisecond)
	n := &c.nodes["a"].node
	require.Equal(t, [MaxVoters]uint8{4, 2, 1, 0, 3}, n.rank24(c.now), "d has work, c nothing, b is unwell, e a witness, a the goose itself")
	require.Equal(t, idOf("d"), n.Successor(c.now))
	require.ErrorIs(t, c.step("a", StepDown{To: idOf("b")}), ErrUnwell)

	c.step("d", Fit{})
	c.run(200 * time.Millisecond)
	require.Equal(t, [MaxVoters]uint8{4, 2, 0, 1, 3}, n.rank24(c.now))
	c.step("b", Fit{})
	c.run(200 * time.Millisecond)
	require.Equal(t, [MaxVoters]uint8{4, 0, 1, 2, 3}, n.rank24(c.now), "the priority again")
}

func TestRule28LeaderKnowsSinceWhenOthersHaveWork(t *testing.T) {
	c, m := newLeader(t)
	other := otherThan(m.name)
	contact := func() Contact {
		for _, k := range m.node.Contacts(nil) {
			if k.ID == idOf(other) {
				return k
			}
		}
		t.Fatal("not in view")
		return Contact{}
	}
	require.Zero(t, contact().WorkAt)
	c.step(other, Fit{HasWork})
	from := c.now
	c.run(time.Second)
	require.Equal(t, HasWork, contact().Fitness)
	require.InDelta(t, from, contact().WorkAt, float64(60*time.Millisecond), "since the next heartbeat")
	c.step(other, Fit{})
	c.run(100 * time.Millisecond)
	require.Zero(t, contact().WorkAt)

	c.step(other, Fit{HasWork})
	c.run(100 * time.Millisecond)
	require.NotZero(t, contact().WorkAt)
	c.tell(m.name, other, Message{Kind: Reject, Header: header(m.node.rec.Term+1, m.node.rec.Config)})
	quiet(c)
	c.elect(m)
	require.Zero(t, contact().WorkAt, "what it knew of a former term is forgotten")
}

func TestRule28UnwellAgentsDoNotCampaign(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	for _, name := range c.order {
		c.step(name, Fit{Unwell})
	}
	c.run(5 * time.Second)
	require.Empty(t, c.goose())
	for _, name := range c.order {
		require.Zero(t, c.nodes[name].node.rec.Term, "no term is burnt")
	}
	c.step("b", Fit{})
	require.Equal(t, "b", c.awaitGoose(time.Second))

	c.run(200 * time.Millisecond)
	require.NoError(t, c.step("b", StepDown{Stop: true}))
	term := c.nodes["b"].node.rec.Term
	c.step("b", Fit{Unwell})
	c.run(5 * time.Second)
	require.Empty(t, c.goose(), "nobody is well, so the unwell goose resigned")
	require.Equal(t, term, c.nodes["b"].node.rec.Term)
}

func TestRule28CandidateThatBecomesUnwellStandsDown(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.drop = func(*Message) bool { return true }
	c.until(time.Second, "a candidate", func() bool { return c.nodes["a"].node.role == PreCandidate })
	c.step("a", Fit{Unwell})
	require.Equal(t, Follower, c.nodes["a"].node.role)
	require.Zero(t, c.nodes["a"].node.wakeAt(c.now), "it waits until it is well")
	c.step("a", Fit{})
	require.NotZero(t, c.nodes["a"].node.wakeAt(c.now))
}

func TestRule28UnwellVoterIsNotHandedTheLead(t *testing.T) {
	c, m := newLeader(t)
	other := otherThan(m.name)
	c.step(other, Fit{Unwell}) // the goose has not heard of it yet
	require.NoError(t, c.step(m.name, StepDown{To: idOf(other)}))
	c.until(2*time.Second, "another goose", func() bool { return c.goose() != "" && c.goose() != m.name })
	require.NotEqual(t, other, c.goose())
}

// A goose that nobody can replace, and that is well just after it gave up, is the goose
// again within two leases (P4), though a deadline of its holders runs first.
func TestRule16SilenceCountsFromGivingUp(t *testing.T) {
	c := newCluster(t, "a")
	c.awaitGoose(time.Second)
	n := &c.nodes["a"].node
	require.NoError(t, c.step("a", Holders{Attached: true}))
	c.step("a", Fit{Unwell})
	require.NoError(t, c.step("a", StepDown{Stop: true}))
	gaveUp := c.now
	require.Greater(t, n.HandedTo(), gaveUp+n.set.Lease/2)
	c.step("a", Fit{})
	c.until(time.Second, "it resigns", func() bool { return n.role == Follower })
	require.GreaterOrEqual(t, c.now, n.HandedTo())
	require.Equal(t, gaveUp+2*n.set.Lease, n.QuietUntil())
	c.until(time.Second, "the goose again", func() bool { return c.goose() == "a" })
	require.LessOrEqual(t, c.now, gaveUp+2*n.set.Lease+n.set.Heartbeat)
}

func TestRule28UnwellGooseResignsInsteadOfRaisingItsTerm(t *testing.T) {
	c, m := newLeader(t)
	c.step(m.name, Fit{Unwell})
	require.NoError(t, c.step(m.name, RaiseTerm{Term: m.node.rec.Term + 5}))
	c.until(2*time.Second, "another goose", func() bool { return c.goose() != "" })
	require.NotEqual(t, m.name, c.goose())
}
