package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A leader that asks for a longer lease saves a PromiseMax that covers it in the same step:
// the record is durable before the first heartbeat that asks leaves.
func TestRule11LongerLeaseIsCoveredBeforeItIsAskedFor(t *testing.T) {
	c, m := newLeader(t)
	quiet(c)
	require.Equal(t, 500*time.Millisecond, m.disk.PromiseMax)
	require.NoError(t, c.step(m.name, Pace{Lease: 3 * time.Second, Heartbeat: 300 * time.Millisecond}))
	require.True(t, m.fx.Save, "with the heartbeats in the same step")
	require.GreaterOrEqual(t, m.fx.Record.PromiseMax, 3*time.Second)
	require.Len(t, m.fx.Send, 2)
	for _, beat := range m.fx.Send {
		require.Equal(t, 3*time.Second, beat.Promise, "at once")
	}
	require.LessOrEqual(t, m.node.nextRound, c.now+400*time.Millisecond)
}

func TestRule11LeaderLowersPromiseMaxWhenNoLongerPromiseCanRun(t *testing.T) {
	c, m := newLeader(t)
	require.NoError(t, c.step(m.name, Pace{Lease: 3 * time.Second, Heartbeat: 300 * time.Millisecond}))
	c.run(5 * time.Second)
	high := m.disk.PromiseMax
	require.NoError(t, c.step(m.name, Pace{Lease: 500 * time.Millisecond, Heartbeat: 100 * time.Millisecond}))
	at := c.now
	c.until(10*time.Second, "a lower PromiseMax", func() bool { return m.disk.PromiseMax < high })
	require.GreaterOrEqual(t, c.now-at, 3*time.Second, "a promise of before may still run")
	require.Equal(t, 500*time.Millisecond, m.disk.PromiseMax)
	c.run(time.Second)
	for _, other := range c.others(m.name) {
		require.Equal(t, 500*time.Millisecond, c.nodes[other].disk.PromiseMax, other)
	}
}

// The voters need not agree on the length of a lease: each promise carries its own.
func TestRule11EveryPromiseCarriesItsOwnLength(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	for _, pace := range []Pace{
		{2 * time.Second, 200 * time.Millisecond}, {100 * time.Millisecond, 20 * time.Millisecond}, {500 * time.Millisecond, 50 * time.Millisecond},
	} {
		before := n.lease
		require.NoError(t, c.step(m.name, pace))
		c.run(4 * time.Second) // checkLeases looks at every step
		require.Equal(t, m.name, c.goose())
		require.Equal(t, pace.Lease, n.lease.Length)
		require.Equal(t, before.Token, n.lease.Token, "in the same period")
		require.LessOrEqual(t, n.lease.Until-c.now, n.worth(pace.Lease))
		for _, other := range c.others(m.name) {
			follower := &c.nodes[other].node
			require.Equal(t, pace.Lease, follower.HeardLease())
			require.LessOrEqual(t, follower.promise.End-c.now, pace.Lease)
		}
	}
}

// A promise for a heartbeat of before lengthens a lease by what it was asked.
func TestRule11LeaseHasTheLengthOfItsPromises(t *testing.T) {
	c, m := newLeader(t)
	quiet(c)
	n := &m.node
	c.now = n.nextRound
	require.NoError(t, c.step(m.name, Tick{}))
	before, round := n.lease, n.round
	require.NoError(t, c.step(m.name, Pace{Lease: 2 * time.Second, Heartbeat: 200 * time.Millisecond}))
	c.tell(m.name, otherThan(m.name), ackOf(n, round, 500*time.Millisecond))
	require.Greater(t, n.lease.Until, before.Until)
	require.Equal(t, 500*time.Millisecond, n.lease.Length)
}

// A shorter lease takes nothing back that was handed out; its holders are told the length
// of the promises that it is made of.
func TestRule14ShorterPromisesTakeNothingBack(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	require.NoError(t, c.step(m.name, Pace{Lease: 2 * time.Second, Heartbeat: 200 * time.Millisecond}))
	require.Equal(t, 500*time.Millisecond, n.lease.Length, "nobody has promised more yet")
	require.InDelta(t, 4*n.worth(500*time.Millisecond), n.worth(2*time.Second), 10, "all of a lease grows with it")
	c.run(time.Second)
	long := n.lease
	require.Equal(t, 2*time.Second, long.Length)
	require.NoError(t, c.step(m.name, Pace{Lease: 300 * time.Millisecond, Heartbeat: 60 * time.Millisecond}))
	for c.now < long.Until-300*time.Millisecond {
		c.run(10 * time.Millisecond)
		require.Equal(t, long, n.lease)
	}
	c.run(time.Second)
	require.Equal(t, 300*time.Millisecond, n.lease.Length)
	require.Equal(t, m.name, c.goose())
}

// What waits for others waits for the longer of two leases: its own, and the one in force.
func TestRule11WaitsForTheLongerLease(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	own := n.set.Lease
	for _, lease := range []time.Duration{2 * own, own / 4} {
		pace := Pace{lease, lease / 5}
		round := n.round
		c.until(time.Second, "a round", func() bool { return n.round > round })
		require.NoError(t, c.step(m.name, pace))
		require.LessOrEqual(t, n.nextRound, c.now+pace.Heartbeat, "a shorter heartbeat counts at once")
		c.run(2 * own)
		require.Equal(t, max(own, lease), n.Longest())
		require.Equal(t, max(own, lease), c.nodes[otherThan(m.name)].node.Longest())
	}
}

// A leader that loses its lead begins the next one with the lease of its settings.
func TestRule11NextLeadBeginsWithTheLeaseOfTheSettings(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	require.NoError(t, c.step(m.name, Pace{Lease: 2 * time.Second, Heartbeat: 200 * time.Millisecond}))
	quiet(c)
	c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: header(n.rec.Term+1, n.rec.Config)})
	require.Equal(t, Follower, n.role)
	require.Equal(t, 2*time.Second, n.HeardLease(), "what the flock was led with last")
	c.elect(m)
	require.Equal(t, Pace{n.set.Lease, n.set.Heartbeat}, n.Pace())
	require.Equal(t, 2*time.Second, n.HeardLease())
	c.now += time.Hour
	require.NoError(t, c.step(m.name, StepDown{Stop: true}))
	require.NoError(t, c.step(m.name, Pace{Lease: time.Second, Heartbeat: 100 * time.Millisecond}), "while it hands over it asks for nothing")
	for _, beat := range m.fx.Send {
		require.Zero(t, beat.Promise)
	}
}

func TestPaceOutOfRangeChangesNothing(t *testing.T) {
	c, m := newLeader(t)
	for _, p := range []Pace{{}, {MaxPromise + 1, time.Second}, {time.Second, 0}, {-1, 1}} {
		require.NoError(t, c.step(m.name, p))
		require.Equal(t, Pace{500 * time.Millisecond, 50 * time.Millisecond}, m.node.Pace())
	}
	other := c.others(m.name)[0]
	require.NoError(t, c.step(other, Pace{time.Second, 100 * time.Millisecond}))
	require.Equal(t, 500*time.Millisecond, c.nodes[other].node.Pace().Lease, "it does not lead")
}
