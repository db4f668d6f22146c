package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A goose counted absences from its own election: where geese changed every 25 s,
// a dead voter was never missed.
func TestTheNextGooseGoesOnCountingAVotersSilence(t *testing.T) {
	c := newCluster(t, "a", "b", "c", "d", "e")
	g := c.awaitGoose(2 * time.Second)
	dead := "e"
	if g == dead {
		dead = "d"
	}
	c.run(time.Second)
	c.kill(dead)
	died := c.now
	silence := func(goose string) (of, others time.Duration) {
		n := &c.nodes[goose].node
		for i, d := range n.Silent(c.now) {
			if i == n.rec.Config.Index(idOf(dead)) {
				of = d
			} else {
				others = max(others, d)
			}
		}
		return of, others
	}
	for range 5 {
		c.run(10 * time.Second)
		g := c.goose()
		require.NoError(t, c.step(g, StepDown{}))
		c.until(2*time.Second, "another goose", func() bool { return c.goose() != "" && c.goose() != g })
		of, others := silence(c.goose())
		require.InDelta(t, (c.now - died).Seconds(), of.Seconds(), 2, "by %s", c.goose())
		require.Less(t, others, 500*time.Millisecond)
	}
	c.kill(c.goose())
	g = c.awaitGoose(2 * time.Second)
	of, _ := silence(g)
	require.Greater(t, of, 48*time.Second, "as much after a death")

	c.restart(dead)
	c.until(time.Second, "it answers", func() bool { of, _ := silence(g); return of < time.Second })
}

func TestSilenceIsLearntFromHeartbeatsForThisLifeAndConfig(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 1, Config: own})
	aged := func(round uint64, ages ...uint8) Message {
		m := beat(round, 300*time.Millisecond, 1, own)
		copy(m.Ages[:], ages)
		return m
	}
	silent := func() time.Duration { return n.Silent(c.now)[2] }
	require.Zero(t, silent(), "a follower that knows nothing")
	c.tell("a", "b", aged(1, 0, 0, 40))
	require.Equal(t, 10*time.Second, silent())
	c.now += time.Second
	require.Equal(t, 11*time.Second, silent())
	c.tell("a", "b", aged(2, 0, 0, 60))
	require.Equal(t, 11*time.Second, silent(), "what is known to be later counts")
	other := aged(3, 0, 0, 0)
	other.ConfigID = ConfigID{1, 2}
	c.tell("a", "b", other)
	require.Equal(t, 11*time.Second, silent(), "of another config's voters")
	recorded := aged(4, 0, 0, 0)
	recorded.ToLife = 9
	c.tell("a", "b", recorded)
	require.Equal(t, 11*time.Second, silent(), "of another life")
	c.tell("a", "b", aged(5, 0, 0, 3))
	require.Equal(t, 750*time.Millisecond, silent())
	require.Zero(t, n.Silent(c.now)[0], "of itself")
}

// A voter that had been cut off for a minute and was elected when it came back
// had all others down as silent for that minute: one that was restarting just
// then was replaced at once.
func TestAGooseDoesNotCountSilenceOfATimeInWhichItHeardNothing(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 1, Config: own})
	m := beat(1, 300*time.Millisecond, 1, own)
	m.Ages[2] = 40
	c.tell("a", "b", m)
	c.now += time.Minute
	lead := func() {
		n.rec.Term++
		n.becomeLeader(c.now, &Effects{})
	}
	lead()
	silent := n.Silent(c.now)
	require.Zero(t, silent[1])
	require.Equal(t, 10*time.Second, silent[2], "as long as the last goose that it heard said")
	c.now += time.Second
	n.sendRound(c.now, &Effects{})
	silent = n.Silent(c.now)
	require.Equal(t, time.Second, silent[1])
	require.Equal(t, 11*time.Second, silent[2])
	n.retire(c.now, c.now)
	c.now += time.Minute
	lead()
	silent = n.Silent(c.now)
	require.Equal(t, time.Second, silent[1], "nor of a time between two of its own")
	require.Equal(t, 11*time.Second, silent[2])
}
