package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlockElectsOneGooseAndKeepsIt(t *testing.T) {
	for _, names := range [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}, {"a", "b", "c", "d", "e"}} {
		c := newCluster(t, names...)
		g := c.awaitGoose(time.Second)
		term := c.nodes[g].node.rec.Term
		c.run(time.Minute)
		require.Equal(t, g, c.goose())
		require.Equal(t, term, c.nodes[g].node.rec.Term)
	}
}

func TestDeadGooseIsFollowedNearTheFloor(t *testing.T) {
	c := newCluster(t, "a", "b", "c", "d", "e")
	for range 4 {
		g := c.awaitGoose(3 * time.Second)
		c.run(2 * time.Second)
		c.kill(g)
		at := c.now
		c.until(time.Second, "another goose", func() bool { return c.goose() != "" && c.goose() != g })
		t.Logf("failover of %s after %v", g, c.now-at)
		require.Less(t, c.now-at, 510*time.Millisecond)
		c.restart(g)
		c.run(2 * time.Second)
	}
}

func TestStepDownHandsOverInAFewRoundTrips(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	for range 5 {
		g := c.awaitGoose(2 * time.Second)
		c.run(time.Second)
		at := c.now
		require.NoError(t, c.step(g, StepDown{}))
		c.until(time.Second, "another goose", func() bool { return c.goose() != "" && c.goose() != g })
		require.Less(t, c.now-at, 10*time.Millisecond)
	}
}

func TestFlockGrowsAndShrinksOneVoterAtATime(t *testing.T) {
	c := newCluster(t, "a")
	c.awaitGoose(time.Second)
	for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
		c.add(name, Record{FlockID: testFlock, PromiseMax: 500 * time.Millisecond}, true)
		require.NoError(t, c.step("a", Observe{ID: idOf(name)}))
		c.run(200 * time.Millisecond)
		require.NoError(t, c.step("a", Change{Voter: Voter{idOf(name), 100}}), name)
		c.until(time.Second, "commit", c.nodes["a"].node.Committed)
		c.run(100 * time.Millisecond)
		require.Equal(t, "a", c.goose())
	}
	require.Equal(t, 7, int(c.nodes["g"].node.rec.Config.N))
	for _, name := range []string{"g", "f", "e", "d", "c", "b"} {
		require.NoError(t, c.step("a", Change{Voter: Voter{ID: idOf(name)}, Remove: true}))
		c.until(time.Second, "commit", c.nodes["a"].node.Committed)
		c.run(100 * time.Millisecond)
		require.Equal(t, "a", c.goose())
	}
	require.Equal(t, 1, int(c.nodes["a"].node.rec.Config.N))
}

func TestLossNeverRaisesTheTermUnderALiveGoose(t *testing.T) {
	c := newCluster(t, "a", "b", "c", "d", "e")
	dice := chance(7)
	g := c.awaitGoose(time.Second)
	c.run(time.Second)
	c.drop = func(*Message) bool { return dice.next()%100 < 30 }
	term := c.nodes[g].node.rec.Term
	c.run(10 * time.Minute)
	require.Equal(t, g, c.goose())
	require.Equal(t, term, c.nodes[g].node.rec.Term)
}

func TestCutOffGooseStandsDownAndFollowsAfterTheHeal(t *testing.T) {
	c := newCluster(t, "a", "b", "c", "d", "e")
	g := c.awaitGoose(time.Second)
	c.run(time.Second)
	for _, other := range c.order {
		c.link(false, g, other)
	}
	c.until(2*time.Second, "another goose", func() bool { return c.goose() != "" && c.goose() != g })
	second := c.goose()
	c.run(time.Minute)
	require.Equal(t, second, c.goose())
	for _, other := range c.order {
		c.link(true, g, other)
	}
	c.run(time.Second)
	require.Equal(t, second, c.goose())
	require.Equal(t, c.nodes[second].node.rec.Term, c.nodes[g].node.rec.Term)
}
