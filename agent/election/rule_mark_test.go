package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// marked gives a goose of three that has committed a mark.
func marked(t *testing.T, mark uint64) (*cluster, *member) {
	c, m := newLeader(t)
	require.NoError(t, c.step(m.name, Advance{To: mark}))
	c.until(time.Second, "a committed mark", func() bool { _, committed := m.node.Mark(); return committed == mark })
	return c, m
}

func TestRule29MarkIsSavedThenShownAndCommittedByAMajority(t *testing.T) {
	c, m := newLeader(t)
	others := c.others(m.name)
	c.link(false, m.name, others[0])
	var sent []uint64
	c.drop = func(out *Message) bool {
		if out.Kind == Heartbeat && out.From == idOf(m.name) {
			require.GreaterOrEqual(t, m.disk.Mark, out.Mark, "saved before it is shown")
			sent = append(sent, out.Mark)
		}
		if out.Kind == HeartbeatAck && out.Mark > 0 {
			require.Equal(t, uint64(7), c.nodes[nameOf(out.From)].disk.Mark, "saved before the ack")
		}
		return false
	}
	require.NoError(t, c.step(m.name, Advance{To: 7}))
	mark, committed := m.node.Mark()
	require.Equal(t, [2]uint64{7, 0}, [2]uint64{mark, committed})
	c.run(10 * time.Millisecond)
	_, committed = m.node.Mark()
	require.EqualValues(t, 7, committed, "two of three hold it")
	require.Contains(t, sent, uint64(7))
	sent = nil
	c.run(200 * time.Millisecond)
	require.NotEmpty(t, sent)
	require.NotContains(t, sent, uint64(7), "a voter that has acknowledged it is not told again")
	mark, committed = c.nodes[others[1]].node.Mark()
	require.Equal(t, [2]uint64{7, 0}, [2]uint64{mark, committed}, "only the goose knows what is committed")

	require.ErrorIs(t, c.step(m.name, Advance{To: 7}), ErrTaken)
	require.ErrorIs(t, c.step(m.name, Advance{To: 3}), ErrTaken)
	require.ErrorIs(t, c.step(m.name, Advance{To: MaxMark + 1}), ErrInvalid)
	require.ErrorIs(t, c.step(others[1], Advance{To: 8}), ErrNotLeader)
}

func TestRule29MarkNeedsALease(t *testing.T) {
	c, m := newLeader(t)
	quiet(c)
	c.run(600 * time.Millisecond)
	require.Equal(t, Leader, m.node.Role())
	require.ErrorIs(t, c.step(m.name, Advance{To: 1}), ErrNoLease)
	require.Zero(t, m.disk.Mark)
}

// A voter that gave its vote tells its mark with it. The winner commits that mark again,
// in its own term, before it is the goose.
func TestRule29NewGooseLearnsTheMarkOfItsMajorityFirst(t *testing.T) {
	c, m := newLeader(t)
	others := c.others(m.name)
	holder, ignorant := others[0], others[1]
	c.link(false, m.name, ignorant)
	require.NoError(t, c.step(m.name, Advance{To: 9}))
	c.run(20 * time.Millisecond)
	require.EqualValues(t, 9, c.nodes[holder].disk.Mark)
	require.Zero(t, c.nodes[ignorant].disk.Mark)
	c.kill(m.name)
	c.nodes[holder].node.fitness = Unwell // so that the other one campaigns
	shown := map[uint64]bool{}
	c.drop = func(out *Message) bool {
		if out.Kind == HeartbeatAck && out.To == idOf(ignorant) {
			shown[out.Mark] = true
			require.Zero(t, c.nodes[ignorant].node.Lease(), "no lease before the mark is acknowledged")
		}
		return out.Kind == HeartbeatAck && len(shown) == 1 && shown[9] && c.nodes[ignorant].node.round == 1
	}
	c.until(5*time.Second, "the other one wins", func() bool { return c.nodes[ignorant].node.Role() == Leader })
	require.EqualValues(t, 9, c.nodes[ignorant].disk.Mark, "saved as it wins")
	_, committed := c.nodes[ignorant].node.Mark()
	require.Zero(t, committed)
	c.until(time.Second, "a lease", func() bool { c.drop = nil; return c.nodes[ignorant].node.Lease().Until > c.now })
	_, committed = c.nodes[ignorant].node.Mark()
	require.EqualValues(t, 9, committed)
	require.ErrorIs(t, c.step(ignorant, Advance{To: 9}), ErrTaken)
}

func TestRule29AnAckWithoutTheMarkGivesNoFirstLease(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	for _, name := range c.order {
		m := c.nodes[name]
		m.disk.Mark = 5
		m.node = New(m.set, m.disk, c.now, true)
	}
	c.wakeAll()
	c.drop = func(m *Message) bool { return m.Kind == Heartbeat }
	leader := func() *Node {
		for _, name := range c.order {
			if n := &c.nodes[name].node; n.Role() == Leader {
				return n
			}
		}
		return nil
	}
	c.until(5*time.Second, "a leader", func() bool { return leader() != nil })
	n := leader()
	name, others := nameOf(n.set.ID), c.others(nameOf(n.set.ID))
	lower := ackOf(n, n.round, n.set.Lease)
	lower.Mark = 4
	c.tell(name, others[0], lower)
	require.Zero(t, n.Lease(), "it holds less")
	full := ackOf(n, n.round, n.set.Lease)
	full.Mark = 5
	c.tell(name, others[1], full)
	require.NotZero(t, n.Lease())
}

// An agent of a version without marks answers without one: it must not keep the flock
// from having a goose, and never counts as holding a mark.
func TestRule29AgentsWithoutMarksKeepNoneAndBlockNobody(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a := c.nodes["a"]
	a.disk.Mark = 3
	a.node = New(a.set, a.disk, c.now, true)
	c.nodes["b"].node.fitness, c.nodes["c"].node.fitness = Unwell, Unwell // a leads
	c.drop = func(m *Message) bool {
		if m.To == idOf("a") {
			m.Mark = 0
		}
		return false
	}
	c.wakeAll()
	require.Equal(t, "a", c.awaitGoose(time.Second))
	mark, committed := a.node.Mark()
	require.Equal(t, [2]uint64{3, 0}, [2]uint64{mark, committed})
	c.drop = nil // they are upgraded
	c.run(200 * time.Millisecond)
	_, committed = a.node.Mark()
	require.EqualValues(t, 3, committed)
}

// wakeAll makes the nodes that a test has made anew do something.
func (c *cluster) wakeAll() {
	for _, name := range c.order {
		c.nodes[name].wake = c.nodes[name].node.wakeAt(c.now)
	}
}

// Steady heartbeats carry no mark to a voter that holds it, and their acks none.
func TestRule29AckOfAHeartbeatWithoutAMarkTellsNothing(t *testing.T) {
	c, m := marked(t, 7)
	c.run(200 * time.Millisecond)
	quiet(c)
	n := &m.node
	require.True(t, n.markHeld())
	require.NoError(t, c.step(m.name, Advance{To: 8}))
	require.False(t, n.markHeld(), "the voters know of marks, and hold only 7")
}

func TestRule29MarkOutlivesTransferResignAndRestart(t *testing.T) {
	c, m := marked(t, 4)
	for i := range 4 {
		goose := c.nodes[c.goose()]
		switch i % 3 {
		case 0:
			require.NoError(t, c.step(goose.name, StepDown{To: idOf(c.others(goose.name)[0])}))
		case 1:
			require.NoError(t, c.step(goose.name, StepDown{Stop: true}))
		case 2:
			c.kill(goose.name)
		}
		c.until(5*time.Second, "another goose", func() bool { g := c.goose(); return g != "" && g != goose.name })
		next := c.nodes[c.goose()]
		require.EqualValues(t, 4+i, next.node.rec.Mark)
		require.ErrorIs(t, c.step(next.name, Advance{To: uint64(4 + i)}), ErrTaken)
		require.NoError(t, c.step(next.name, Advance{To: uint64(5 + i)}))
		c.until(time.Second, "commit", func() bool { _, got := next.node.Mark(); return got == uint64(5+i) })
		if goose.down {
			c.restart(goose.name)
		}
		c.run(700 * time.Millisecond)
	}
	require.EqualValues(t, 8, m.disk.Mark)
}

// Acks of a config may be older than the mark: a change of voters waits for those of both.
func TestRule29ChangeOfVotersWaitsForTheMark(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	voters := c.others(m.name)[:2]
	require.NoError(t, c.step(m.name, Advance{To: 2}))
	require.NoError(t, c.step(m.name, addD))
	for _, other := range []string{voters[0], voters[1], "d"} {
		ack := ackOf(n, n.round, n.set.Lease)
		ack.Mark = 1
		c.tell(m.name, other, ack)
	}
	require.False(t, n.rec.Config.Has(idOf("d")), "all have answered, and nobody holds the mark")
	require.NoError(t, c.step(m.name, Tick{}))
	n.sendRound(c.now, &m.fx)
	ack := ackOf(n, n.round, n.set.Lease)
	ack.Mark = 2
	c.tell(m.name, voters[0], ack)
	require.True(t, n.rec.Config.Has(idOf("d")))
	_, committed := n.Mark()
	require.Less(t, committed, uint64(2), "two of four hold it")
	n.sendRound(c.now, &m.fx)
	ack = ackOf(n, n.round, n.set.Lease)
	ack.Mark = 2
	c.tell(m.name, "d", ack)
	_, committed = n.Mark()
	require.EqualValues(t, 2, committed)
}

func TestRule29RefusedVotesTellNoMark(t *testing.T) {
	own := at(2, 2, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Config: own, Mark: 6})
	require.EqualValues(t, 6, only(t, c.tell("a", "b", ask(4, own))).Mark)
	require.Zero(t, only(t, c.tell("a", "c", ask(4, own))).Mark)
	n.promise = Promise{idOf("b"), 4, c.now + time.Second}
	require.EqualValues(t, 6, only(t, c.tell("a", "b", ask(4, own))).Mark, "a repeated request gets the same answer")
}

func TestRule29RecoveryKeepsTheMark(t *testing.T) {
	r := Record{FlockID: testFlock, Term: 9, Config: configOf("a", "b", "c"), Mark: 12}
	require.EqualValues(t, 12, r.Recovered(configOf("a"), nil).Mark)
}

func TestRule29RecoverySetsTheMarkThatItIsTold(t *testing.T) {
	list, low, none := configOf("a", "b"), uint64(7), uint64(0)
	r := Record{FlockID: testFlock, Term: 9, Config: configOf("a", "b", "c"), Mark: MaxMark}
	set := r.Recovered(list, &low)
	require.Equal(t, low, set.Mark)
	require.True(t, set.RecoveredWith(list, &low))
	require.False(t, set.RecoveredWith(list, nil))
	require.False(t, set.RecoveredWith(list, &none))
	for _, other := range []*uint64{nil, &none} {
		require.NotEqual(t, set.Generation.Tag, r.Recovered(list, other).Generation.Tag, "survivors with other marks are another flock")
	}
}

// Only the agents that a recovery keeps bring their marks into the new generation.
func TestRule29MarkOfAnAgentThatARecoveryLeftOutIsForgotten(t *testing.T) {
	for _, keep := range [][]string{{"a", "c"}, {"c"}} {
		c, n := lone(t, "a", Record{Term: 9, Config: at(8, 3, "a", "b", "c"), Mark: MaxMark})
		config := at(0, 1, keep...)
		h := Header{Generation: Generation{Number: 1, Tag: 42}, ConfigID: config.ConfigID}
		c.tell("a", "c", Message{Kind: Reject, Header: h, Config: config})
		require.Equal(t, h.Generation, n.rec.Generation)
		require.Equal(t, len(keep) == 2, n.rec.Mark == MaxMark)
		require.Equal(t, n.rec, c.nodes["a"].disk)
	}
}
