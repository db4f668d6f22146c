package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRule27WhoShowsAnOlderConfigIsSentTheNewerOne(t *testing.T) {
	own, older := at(3, 4, "a", "b", "c"), at(3, 2, "a", "b")
	for _, kind := range []Kind{PreVoteReply, VoteReply, Heartbeat, HeartbeatAck, TimeoutNow, Resign, Leave} {
		c, _ := lone(t, "a", Record{Term: 3, Vote: idOf("d"), Config: own})
		for _, from := range []string{"b", "z"} { // in view, and not
			c.run(time.Second)
			var told []Message
			for _, m := range c.tell("a", from, Message{Kind: kind, Round: 1, Header: header(3, older)}) {
				if m.Kind == Reject {
					told = append(told, m)
				}
			}
			require.Equal(t, own, only(t, told).Config, "%v of %s", kind, from)
			for _, m := range c.tell("a", from, Message{Kind: kind, Round: 2, Header: header(3, older)}) {
				require.NotEqual(t, Reject, m.Kind, "paced")
			}
		}
	}
	c, _ := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
	c.run(time.Second)
	require.Empty(t, c.tell("a", "b", Message{Kind: Reject, Header: header(3, older), Config: older}), "a Reject is never answered by a Reject")
	require.Empty(t, c.tell("a", "b", Message{Kind: Resign, Header: header(3, own)}), "not to one that has it")
	foreign := header(3, older)
	foreign.Generation.Tag = 7
	require.Empty(t, c.tell("a", "b", Message{Kind: Resign, Header: foreign}), "not to another recovery")
	foreign = header(3, older)
	foreign.FlockID = FlockID{9}
	m := Message{Kind: Resign, Header: foreign}
	m.From, m.To = idOf("b"), idOf("a")
	require.NoError(t, c.step("a", &m))
	require.Empty(t, c.nodes["a"].fx.Send, "not to another flock")
}

func TestRule27GossipThatShowsAnOlderConfigIsAnswered(t *testing.T) {
	own := at(3, 4, "a", "b", "c")
	c, _ := lone(t, "a", Record{Term: 3, Generation: Generation{Number: 2, Tag: 5}, Config: own})
	sees := func(id string, generation uint64, config ConfigID) []Message {
		require.NoError(t, c.step("a", Seen{ID: idOf(id), Generation: generation, Config: config}))
		return c.nodes["a"].fx.Send
	}
	for _, m := range [][]Message{sees("z", 2, ConfigID{3, 3}), sees("z", 2, ConfigID{}), sees("b", 1, ConfigID{9, 9})} {
		require.Equal(t, Reject, only(t, m).Kind)
		require.Equal(t, own, m[0].Config)
	}
	require.Empty(t, sees("z", 2, ConfigID{3, 4}))
	require.Empty(t, sees("z", 3, ConfigID{}))
	require.Empty(t, sees("a", 2, ConfigID{}), "itself")
}

func TestRule27CandidateWithoutAMajorityAsksEveryLiveAgent(t *testing.T) {
	// The goose that made w a voter beside b died; a, which alone may lead, does not know of w.
	older, newer := at(2, 1, "a", "b", "c"), at(2, 2, "a", "c", "w")
	newer = newer.With(Voter{idOf("w"), 0})
	c := newCluster(t)
	c.add("a", Record{FlockID: testFlock, Term: 2, Config: older, PromiseMax: 500 * time.Millisecond}, true)
	c.add("w", Record{FlockID: testFlock, Term: 2, Config: newer, PromiseMax: 500 * time.Millisecond}, true)
	c.until(3*time.Second, "a as goose", func() bool { return c.goose() == "a" })
	require.Equal(t, 3, int(c.nodes["a"].node.rec.Config.N))

	c = newCluster(t)
	c.add("a", Record{FlockID: testFlock, Term: 2, Config: older, PromiseMax: 500 * time.Millisecond}, true)
	c.add("o", Record{FlockID: testFlock, Term: 2, Config: older, PromiseMax: 500 * time.Millisecond}, true)
	asked := 0
	c.drop = func(m *Message) bool {
		require.NotEqual(t, idOf("o"), m.From, "who has no newer config says nothing")
		if m.To == idOf("o") {
			asked++
		}
		return false
	}
	c.run(10 * time.Second)
	require.NotZero(t, asked)
	require.LessOrEqual(t, asked, 20, "at most once a lease")
}
