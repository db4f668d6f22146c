package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// growing gives a goose of three that keeps d in view, all promises fresh and nothing under way.
func growing(t *testing.T) (*cluster, *member) {
	c, m := newLeader(t)
	c.add("d", Record{FlockID: testFlock, PromiseMax: 500 * time.Millisecond}, true)
	require.NoError(t, c.step(m.name, Observe{ID: idOf("d")}))
	c.run(200 * time.Millisecond)
	quiet(c)
	return c, m
}

var addD = Change{Voter: Voter{idOf("d"), 100}}

func TestRule05NoChangeWhileATransferRuns(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	before := n.rec.Config
	require.NoError(t, c.step(m.name, addD))
	require.ErrorIs(t, c.step(m.name, Change{Voter: Voter{idOf("e"), 100}}), ErrNotCommitted, "one at a time")
	require.NoError(t, c.step(m.name, StepDown{To: idOf(otherThan(m.name))}))
	for _, other := range c.others(m.name) {
		c.tell(m.name, other, ackOf(n, n.round, 0))
	}
	require.Equal(t, before, n.rec.Config, "the one that waited is dropped")
	require.ErrorIs(t, c.step(m.name, addD), ErrHandingOver)
}

// The lease under the new members must reach as far as what was handed out,
// else it would shrink, or another goose could be elected while a holder acts.
func TestRule05ChangeWaitsForItsLeaseClause(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	voters := c.others(m.name)[:2]
	before := n.rec.Config
	until := n.Lease().Until
	require.Greater(t, until, c.now+100*time.Millisecond)
	n.peerOf(idOf(voters[1])).expiry = c.now + time.Millisecond
	n.peerOf(idOf("d")).expiry = c.now + time.Millisecond
	require.NoError(t, c.step(m.name, addD))
	c.tell(m.name, voters[0], ackOf(n, n.round, n.set.Lease))
	c.tell(m.name, voters[1], ackOf(n, n.round, time.Millisecond))
	c.tell(m.name, "d", ackOf(n, n.round, time.Millisecond))
	require.Equal(t, before, n.rec.Config, "three of four have answered, and two have promised")
	require.Equal(t, until, n.Lease().Until, "while a change waits, the smaller of both ends is handed out")
	c.tell(m.name, "d", ackOf(n, n.round, n.set.Lease))
	require.True(t, n.rec.Config.Has(idOf("d")))
	require.Equal(t, ConfigID{before.Term, before.Version + 1}, n.rec.Config.ConfigID)
	require.Equal(t, n.rec, m.disk)
	require.GreaterOrEqual(t, n.Lease().Until, until)
}

// When the view is full a voter takes an observer's place in it, and an observer nobody's.
func TestRule05VotersAreKeptInView(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	for i := range byte(maxPeers) {
		require.NoError(t, c.step(m.name, Observe{ID: ID{1, i}}))
	}
	require.EqualValues(t, maxPeers, n.npeers)
	require.Nil(t, n.peerOf(ID{1, maxPeers - 1}))
	require.NoError(t, c.step(m.name, Forget{ID: idOf(otherThan(m.name))}))
	require.NotNil(t, n.peerOf(idOf(otherThan(m.name))), "a voter")
	n.rec.Config = n.rec.Config.With(Voter{idOf("d"), 100})
	m.disk = n.rec
	n.observeVoters()
	for _, v := range n.rec.Config.Members() {
		require.True(t, v.ID == n.set.ID || n.peerOf(v.ID) != nil, nameOf(v.ID))
	}
	require.EqualValues(t, maxPeers, n.npeers)
}

// A new voter is in view even if it was forgotten while the change waited.
func TestRule05NewVoterIsInView(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	require.NoError(t, c.step(m.name, addD))
	require.NoError(t, c.step(m.name, Forget{ID: idOf("d")}))
	c.run(n.set.Heartbeat)
	for _, other := range []string{c.others(m.name)[0], c.others(m.name)[1]} {
		c.tell(m.name, other, ackOf(n, n.round, n.set.Lease))
	}
	require.True(t, n.rec.Config.Has(idOf("d")))
	require.NotNil(t, n.peerOf(idOf("d")))
}

// A leader whose followers answer and promise nothing is no goose, and changes nothing.
func TestRule05LeaderWithoutALeaseChangesNothing(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	before := n.rec.Config
	c.run(n.set.Lease)
	require.Empty(t, c.goose())
	require.NoError(t, c.step(m.name, addD))
	for _, other := range c.others(m.name) {
		c.tell(m.name, other, ackOf(n, n.round, 0))
	}
	require.Equal(t, before, n.rec.Config)
	c.run(n.set.Heartbeat + time.Millisecond)
	for _, other := range c.others(m.name) {
		c.tell(m.name, other, ackOf(n, n.round, n.set.Lease))
	}
	require.True(t, n.rec.Config.Has(idOf("d")))
}

// The same for a deadline of a former period that a holder still acts by.
func TestRule05ChangeWaitsForTheDeadlinesOfHolders(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	require.NoError(t, c.step(m.name, Holders{Attached: true}))
	until := n.HandedTo()
	c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: header(n.rec.Term+1, n.rec.Config)})
	c.elect(m)
	for _, other := range []string{c.others(m.name)[0], c.others(m.name)[1], "d"} {
		c.tell(m.name, other, ackOf(n, n.round, 100*time.Millisecond))
	}
	require.Less(t, n.Lease().Until, until)
	before := n.rec.Config
	require.NoError(t, c.step(m.name, addD))
	for _, other := range []string{c.others(m.name)[0], c.others(m.name)[1], "d"} {
		c.tell(m.name, other, ackOf(n, n.round, 100*time.Millisecond))
	}
	require.Equal(t, before, n.rec.Config)
	require.NoError(t, c.step(m.name, Holders{}))
	require.NoError(t, c.step(m.name, Drained{}))
	require.True(t, n.rec.Config.Has(idOf("d")))
}

// A change needs answers to a round that left after it was asked for, and is
// dropped after half a lease.
func TestRule05ChangeNeedsFreshAnswersInTime(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	before := n.rec.Config
	require.NoError(t, c.step(m.name, addD))
	c.tell(m.name, "d", ackOf(n, n.round-1, n.set.Lease))
	c.tell(m.name, c.others(m.name)[0], ackOf(n, n.round, n.set.Lease))
	require.Equal(t, before, n.rec.Config, "two of four")
	c.run(n.set.Lease/2 + 10*time.Millisecond)
	c.tell(m.name, "d", ackOf(n, n.round, n.set.Lease))
	c.tell(m.name, c.others(m.name)[1], ackOf(n, n.round, n.set.Lease))
	require.Equal(t, before, n.rec.Config, "too late")
	require.NoError(t, c.step(m.name, addD), "it may be asked for again")
}

func TestRule05WhatMayBeChanged(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	self, other := n.set.ID, idOf(otherThan(m.name))
	for _, tt := range []struct {
		name string
		in   Change
		want error
	}{
		{"nobody", Change{}, ErrInvalid},
		{"removal of no voter", Change{Voter: Voter{ID: idOf("d")}, Remove: true}, ErrInvalid},
		{"removal of the leader", Change{Voter: Voter{self, 100}, Remove: true}, ErrInvalid},
		{"the leader as a witness", Change{Voter: Voter{self, 0}}, ErrInvalid},
		{"what is so already", Change{Voter: Voter{other, 100}}, ErrInvalid},
		{"the table that is there", Change{Table: n.rec.Config.Table}, ErrInvalid},
		{"the table and a voter", Change{Table: Digest{1}, Voter: Voter{other, 50}}, ErrInvalid},
		{"a priority", Change{Voter: Voter{other, 50}}, nil},
		{"the leader's priority", Change{Voter: Voter{self, 50}}, nil},
		{"a witness", Change{Voter: Voter{other, 0}}, nil},
		{"a removal", Change{Voter: Voter{ID: other}, Remove: true}, nil},
		{"an addition", addD, nil},
		{"a table", Change{Table: Digest{1}}, nil},
	} {
		was := *n
		require.ErrorIs(t, c.step(m.name, tt.in), tt.want, tt.name)
		*n = was
	}
	n.rec.Config.Version = MaxTerm
	for i := range n.peers[:n.npeers] {
		n.peers[i].acked = n.rec.Config.ConfigID
	}
	require.ErrorIs(t, c.step(m.name, addD), ErrInvalid, "no version is left")
	require.ErrorIs(t, c.step(m.name, Change{Table: Digest{1}}), ErrInvalid, "no version is left")

	c = newCluster(t, "a", "b", "c", "d", "e", "f", "g")
	g := c.awaitGoose(time.Second)
	c.run(time.Second)
	require.ErrorIs(t, c.step(g, Change{Voter: Voter{idOf("h"), 100}}), ErrInvalid, "there is no room")
	require.NoError(t, c.step(g, Change{Voter: Voter{idOf(otherThan(g)), 50}}), "a priority needs none")
}

// Only acks of exactly this config, of voters, commit it.
func TestRule05ConfigIsCommittedByItsVotersAlone(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	n.rec.Config.Version++
	n.rec.Config = n.rec.Config.With(Voter{idOf("e"), 100})
	m.disk = n.rec
	for i := range n.peers[:n.npeers] {
		n.peers[i].acked, n.peers[i].round = ConfigID{}, 0
	}
	require.False(t, n.Committed())
	old := ackOf(n, n.round, 0)
	old.ConfigID.Version--
	c.tell(m.name, c.others(m.name)[0], old)
	c.tell(m.name, "d", ackOf(n, n.round, 0))
	require.False(t, n.Committed(), "one of four, an observer, an ack of the former config")
	n.peerOf(idOf(c.others(m.name)[0])).round = 0
	c.tell(m.name, c.others(m.name)[0], ackOf(n, n.round, 0))
	require.False(t, n.Committed(), "two of four")
	c.tell(m.name, c.others(m.name)[1], ackOf(n, n.round, 0))
	require.True(t, n.Committed())
	n.follow(c.now, ID{}, &m.fx)
	require.False(t, n.Committed(), "no leader")
}

func TestRule16StepDownNeedsAVoterThatAnswers(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	one, two := c.others(m.name)[0], c.others(m.name)[1]
	n.rec.Config = n.rec.Config.With(Voter{idOf(two), 0})
	for _, tt := range []struct {
		to   string
		want error
	}{{"d", ErrNotVoter}, {"x", ErrNotVoter}, {m.name, ErrNotVoter}, {two, ErrNotVoter}, {one, nil}} {
		was := *n
		require.ErrorIs(t, c.step(m.name, StepDown{To: idOf(tt.to)}), tt.want, tt.to)
		*n = was
	}
	require.Equal(t, idOf(one), n.Successor(c.now), "a witness does not lead")
	c.now += n.set.Lease
	require.Zero(t, n.Successor(c.now), "it has not answered for a lease")
	require.ErrorIs(t, c.step(m.name, StepDown{To: idOf(one)}), ErrUnreachable)
	require.ErrorIs(t, c.step(m.name, StepDown{}), ErrNoSuccessor)
	require.NoError(t, c.step(m.name, StepDown{Stop: true}))
	require.Equal(t, Follower, n.role, "it resigns at once")
	require.Equal(t, Resign, m.fx.Send[0].Kind)
	require.ErrorIs(t, c.step(m.name, StepDown{Stop: true}), ErrNotLeader)
	require.ErrorIs(t, c.step(m.name, RaiseTerm{Term: 9}), ErrNotLeader)
}

// While holders act, a goose that gave up asks nobody. From their end on it asks
// again and again, for half a lease, then it resigns.
func TestRule16TransferWaitsForHoldersThenAsksForHalfALease(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	require.NoError(t, c.step(m.name, Holders{Attached: true}))
	until := n.HandedTo()
	asked := 0
	c.drop = func(msg *Message) bool {
		if msg.Kind == TimeoutNow {
			asked++
		}
		return true
	}
	require.NoError(t, c.step(m.name, StepDown{}))
	require.ErrorIs(t, c.step(m.name, StepDown{}), ErrHandingOver)
	require.ErrorIs(t, c.step(m.name, RaiseTerm{Term: 99}), ErrHandingOver)
	require.Zero(t, n.Lease())
	for c.now < until {
		require.Zero(t, asked, "holders act for %v more", until-c.now)
		require.True(t, c.next(until+time.Millisecond))
	}
	c.until(10*time.Millisecond, "TimeoutNow", func() bool { return asked == 1 })
	began := c.now
	require.NoError(t, c.step(m.name, Busy{}))
	c.until(time.Second, "Resign", func() bool { return n.role == Follower })
	require.Equal(t, began+n.set.Lease/2, c.now)
	require.Greater(t, asked, 5)
	require.LessOrEqual(t, asked, int(n.set.Lease/2/resendFloor)+1)
}

func TestRule07RaisedTermIsAboveWhatWasShown(t *testing.T) {
	c, m := growing(t)
	n := &m.node
	term := n.rec.Term
	require.ErrorIs(t, c.step(m.name, RaiseTerm{Term: term - 1}), ErrInvalid)
	require.ErrorIs(t, c.step(m.name, RaiseTerm{Term: MaxTerm}), ErrInvalid)
	require.NoError(t, c.step(m.name, RaiseTerm{Term: term}))
	require.Equal(t, Candidate, n.role)
	require.Equal(t, term+1, n.rec.Term)

	c = newCluster(t, "a")
	c.awaitGoose(time.Second)
	old := c.nodes["a"].node.Lease()
	require.NoError(t, c.step("a", RaiseTerm{Term: 40}))
	l := c.nodes["a"].node.Lease()
	require.EqualValues(t, 41, l.Token, "a lone voter wins at once")
	require.Greater(t, l.Token, old.Token)
}
