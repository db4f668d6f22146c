package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A change whose new members do not answer with a majority would end the flock:
// it is dropped, and the goose stays the goose meanwhile (rule 5).
func TestRule05ChangeThatLeavesNoMajorityIsNotMade(t *testing.T) {
	for _, tt := range []struct {
		name   string
		voters []string
		dies   string
		change Change
	}{
		{"removal", []string{"a", "b", "c"}, "c", Change{Voter: Voter{ID: idOf("b")}, Remove: true}},
		{"addition to one", []string{"a"}, "d", Change{Voter: Voter{idOf("d"), 100}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, tt.voters...)
			c.add("d", Record{FlockID: testFlock, PromiseMax: 500 * time.Millisecond}, true)
			c.until(time.Second, "a as goose", func() bool { return c.goose() != "" })
			g := c.goose()
			if g != "a" {
				require.NoError(t, c.step(g, StepDown{To: idOf("a")}))
				c.until(time.Second, "a as goose", func() bool { return c.goose() == "a" })
			}
			require.NoError(t, c.step("a", Observe{ID: idOf("d")}))
			c.run(2 * time.Second)
			before := c.nodes["a"].node.rec.Config
			c.kill(tt.dies)
			c.run(20 * time.Millisecond) // nobody has noticed
			require.NoError(t, c.step("a", tt.change))
			for end := c.now + 5*time.Second; c.next(end); {
				require.Equal(t, "a", c.goose(), "at %v\n%s", c.now-time.Hour, c)
			}
			require.Equal(t, before, c.nodes["a"].node.rec.Config)
		})
	}
}

// A table is changed as voters are: by the leader, one change at a time, known to
// a majority before it counts as taken.
func TestRule05ATableIsChangedAsVotersAre(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Minute)
	n := &c.nodes[g].node
	c.until(time.Second, "a committed config", n.Committed)
	before := n.rec.Config
	one, two := Digest{1}, Digest{2}
	require.ErrorIs(t, c.step(g, Change{Table: one, Voter: Voter{idOf("d"), 1}}), ErrInvalid)
	require.ErrorIs(t, c.step(g, Change{Table: one, Remove: true}), ErrInvalid)
	require.NoError(t, c.step(g, Change{Table: one}))
	require.ErrorIs(t, c.step(g, Change{Table: two}), ErrNotCommitted, "one at a time")
	c.until(time.Second, "the change", func() bool { return n.rec.Config.Table == one })
	require.False(t, n.Committed())
	require.Equal(t, before.Version+1, n.rec.Config.Version)
	require.Equal(t, before.Voters, n.rec.Config.Voters)
	c.until(time.Second, "a majority knows", n.Committed)
	require.ErrorIs(t, c.step(g, Change{Table: one}), ErrInvalid, "nothing would change")
	for _, other := range c.order {
		if other != g {
			require.ErrorIs(t, c.step(other, Change{Table: two}), ErrNotLeader)
		}
	}

	// The next leader keeps it: a table that a majority has taken is never lost.
	c.kill(g)
	c.until(time.Minute, "another goose", func() bool { return c.goose() != "" && c.goose() != g })
	require.Equal(t, one, c.nodes[c.goose()].node.rec.Config.Table)
}

// A leader whose followers do not answer changes nothing.
func TestRule05ATableWaitsForAMajority(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Minute)
	n := &c.nodes[g].node
	c.until(time.Second, "a committed config", n.Committed)
	for _, other := range c.order {
		c.link(false, g, other)
	}
	require.NoError(t, c.step(g, Change{Table: Digest{1}}))
	c.run(400 * time.Millisecond)
	require.Zero(t, n.rec.Config.Table)
}

// Several elections of one agent send together: their rounds keep to one grid,
// whenever they were won.
func TestRoundsKeepToTheGrid(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	for i, name := range c.order {
		c.nodes[name].node.set.Grid = time.Duration(i+1) * time.Millisecond
	}
	g := c.awaitGoose(time.Minute)
	n := &c.nodes[g].node
	for range 10 {
		round := n.round
		c.until(time.Second, "a round", func() bool { return n.round > round })
		require.Zero(t, (n.nextRound-n.set.Grid)%n.set.Heartbeat)
		require.LessOrEqual(t, n.nextRound-c.now, n.set.Heartbeat*5/4)
		require.Greater(t, n.nextRound-c.now, n.set.Heartbeat/4)
	}
}

// beating returns three nodes that follow Beats, and the leader.
func beating(t *testing.T) (c *cluster, g string, n *Node) {
	c = newCluster(t, "a", "b", "c")
	for _, name := range c.order {
		c.nodes[name].node.set.Grid = time.Millisecond
	}
	g = c.awaitGoose(time.Minute)
	return c, g, &c.nodes[g].node
}

// Elections of several agents send together: a round that is due soon leaves at a Beat, and
// the next one waits a moment for the next Beat.
func TestRoundsFollowBeats(t *testing.T) {
	c, g, n := beating(t)
	h := n.set.Heartbeat
	for range 5 {
		c.run(n.nextRound - c.now - h/5)
		round := n.round
		require.NoError(t, c.step(g, Beat{}))
		require.Equal(t, round+1, n.round, "it was due soon")
		require.Equal(t, h+h/beatSlack, n.nextRound-c.now)
	}
	round, next := n.round, n.nextRound
	c.run(h / 2)
	require.NoError(t, c.step(g, Beat{}))
	require.Equal(t, round, n.round, "it is not due yet")
	require.Equal(t, next, n.nextRound)
	d := c.order[0]
	if d == g {
		d = c.order[1]
	}
	require.NoError(t, c.step(d, Beat{}))
	require.Equal(t, Follower, c.nodes[d].node.role)
}

// A leader whose rounds all leave at Beats, so that none of them is due by a Tick, stands down
// like any other.
func TestBeatsKeepNoLeaderThatIsCutOff(t *testing.T) {
	c, g, n := beating(t)
	for _, other := range c.order {
		c.link(false, g, other)
	}
	for range 4 * n.set.Lease / n.set.Heartbeat {
		c.run(n.set.Heartbeat)
		require.NoError(t, c.step(g, Beat{}))
	}
	require.NotEqual(t, Leader, n.role)
}

// With a salt, voters that are equal in all else come in an order of the election's own.
func TestRule24SaltsSpreadTheFirstElections(t *testing.T) {
	won := map[string]int{}
	for salt := range uint64(60) {
		c := newCluster(t)
		for _, name := range []string{"a", "b", "c"} {
			rec := Record{FlockID: testFlock, Config: configOf("a", "b", "c"), PromiseMax: 500 * time.Millisecond}
			set := settingsOf(name)
			set.Salt = salt + 1
			c.add(name, rec, true)
			c.nodes[name].node = New(set, rec, c.now, true)
			c.nodes[name].wake = c.nodes[name].node.wakeAt(c.now)
		}
		won[c.awaitGoose(time.Minute)]++
	}
	for _, name := range []string{"a", "b", "c"} {
		require.Greater(t, won[name], 8, "%v", won)
	}
}

// What an ack waited for company is no part of the round trip, and nothing to the lease.
func TestHeldAcksDoNotLookFar(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Minute)
	n := &c.nodes[g].node
	p := &n.peers[0]
	p.rtt = 0
	r := n.rounds[n.round%maxRounds]
	ack := Message{Kind: HeartbeatAck, Header: header(n.rec.Term, n.rec.Config), Round: n.round, Promise: n.set.Lease, Held: 30 * time.Millisecond}
	p.round = 0
	c.now = r.sentAt + 31*time.Millisecond
	c.tell(g, nameOf(p.id), ack)
	require.Equal(t, time.Millisecond, p.rtt)
	require.Equal(t, r.sentAt+n.worth(n.set.Lease), p.expiry)
}
