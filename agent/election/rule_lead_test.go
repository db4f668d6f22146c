package election

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ackOf gives a voter's ack of a round, as it is when the voter grants all.
func ackOf(n *Node, round uint64, d time.Duration) Message {
	return Message{Kind: HeartbeatAck, Round: round, Promise: d, Header: header(n.rec.Term, n.rec.Config)}
}

// quiet lets a goose go on alone: what it sends is lost from here on.
func quiet(c *cluster) {
	c.drop = func(*Message) bool { return true }
	c.queue = nil
}

// others gives the names of all but one.
func (c *cluster) others(name string) (names []string) {
	for _, other := range c.order {
		if other != name {
			names = append(names, other)
		}
	}
	return names
}

// deposed gives a former goose of three that has seen a higher term.
func deposed(t *testing.T) (*cluster, *member) {
	c, m := newLeader(t)
	quiet(c)
	c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: header(m.node.rec.Term+1, m.node.rec.Config)})
	require.Equal(t, Follower, m.node.role)
	return c, m
}

// elect makes a node the leader of the next term, without any ack.
func (c *cluster) elect(m *member) {
	m.node.becomeCandidate(c.now, m.node.rec.Term+1, ID{}, 0, &m.fx)
	m.disk = m.node.rec
	for _, other := range c.others(m.name)[:m.node.rec.Config.Quorum()-1] {
		c.tell(m.name, other, answer(&m.node, true, NoReason))
	}
	require.Equal(c.t, Leader, m.node.role)
}

// The promises of a former term were released when that term was handed over:
// a goose that gets the term back counts only what is promised in the new one.
func TestRule14PromisesOfAFormerTermAreNotCounted(t *testing.T) {
	c, m := deposed(t)
	n := &m.node
	for _, other := range c.others(m.name) {
		require.Greater(t, n.peerOf(idOf(other)).expiry, c.now, "a promise of the former term runs")
	}
	n.failures = 3
	c.elect(m)
	require.Zero(t, n.failures)
	require.Zero(t, n.Lease())
	require.Zero(t, n.PromisedAt(c.now))
	require.False(t, n.Committed())
	for _, other := range c.others(m.name) {
		require.ErrorIs(t, c.step(m.name, StepDown{To: idOf(other)}), ErrUnreachable, "no answer in this term")
	}
	require.ErrorIs(t, c.step(m.name, StepDown{}), ErrNoSuccessor)
	c.tell(m.name, c.others(m.name)[0], ackOf(n, n.round, 500*time.Millisecond))
	require.Equal(t, c.now+n.worth(500*time.Millisecond), n.Lease().Until)
	require.True(t, n.Committed())
	require.NoError(t, c.step(m.name, StepDown{}))
}

// A hand-over right after a win waits for voters that may still answer, and for no others.
func TestRule16WhoMayAnswerANewLeader(t *testing.T) {
	c, m := deposed(t)
	n := &m.node
	one, two := c.others(m.name)[0], c.others(m.name)[1]
	require.False(t, n.MayAnswer(c.now, idOf(one)), "it does not lead")
	c.elect(m)
	require.True(t, n.MayAnswer(c.now, idOf(one)))
	require.True(t, n.MayAnswer(c.now+n.longest()-1, idOf(one)))
	require.False(t, n.MayAnswer(c.now+n.longest(), idOf(one)))
	require.False(t, n.MayAnswer(c.now, idOf(m.name)))
	require.False(t, n.MayAnswer(c.now, idOf("x")))
	c.tell(m.name, one, ackOf(n, n.round, n.set.Lease))
	require.False(t, n.MayAnswer(c.now, idOf(one)), "it has answered")
	n.rec.Config = n.rec.Config.With(Voter{idOf(two), 0})
	require.False(t, n.MayAnswer(c.now, idOf(two)), "a witness")
}

// The same, for acks of the former term that arrive late: rounds go on
// counting over terms, so a round's number does not tell its term.
func TestRule14AcksOfAnotherTermAreNotCounted(t *testing.T) {
	c, m := deposed(t)
	n := &m.node
	c.elect(m)
	for _, other := range c.others(m.name) {
		for _, term := range []uint64{n.rec.Term - 1, n.rec.Term - 2} {
			late := ackOf(n, n.round, 500*time.Millisecond)
			late.Term = term
			c.tell(m.name, other, late)
		}
	}
	require.Zero(t, n.Lease())
	require.Equal(t, Leader, n.role)
	for _, other := range c.others(m.name) {
		c.tell(m.name, other, ackOf(n, n.round-1, 500*time.Millisecond))
	}
	require.Zero(t, n.Lease(), "a round of the former term")
	c.tell(m.name, "x", ackOf(n, n.round, 500*time.Millisecond))
	require.Zero(t, n.Lease(), "an agent that is not in view")
}

// An ack counts for what it was asked, from the send of its own round.
func TestRule14AckCountsNoMoreThanItsRoundAsked(t *testing.T) {
	c, m := newLeader(t)
	quiet(c)
	n := &m.node
	c.until(time.Second, "the end of the lease", func() bool { return c.goose() == "" })
	c.until(2*time.Second, "a round that asks nothing", func() bool { return n.rounds[n.round%maxRounds].asked == 0 })
	other := c.others(m.name)[0]
	p := n.peerOf(idOf(other))
	before := p.expiry
	c.tell(m.name, other, ackOf(n, n.round, time.Hour))
	require.Equal(t, before, p.expiry, "asked for nothing")
	require.Equal(t, c.now, p.path, "the path is whole")
	c.run(n.set.Heartbeat + time.Millisecond)
	sentAt := n.rounds[n.round%maxRounds].sentAt
	require.NotZero(t, n.rounds[n.round%maxRounds].asked)
	c.tell(m.name, other, ackOf(n, n.round, time.Hour))
	require.Equal(t, sentAt+n.worth(n.set.Lease), p.expiry)
	for _, never := range []uint64{n.round + 1, math.MaxUint64} {
		c.tell(m.name, other, ackOf(n, never, time.Hour))
		require.Equal(t, sentAt+n.worth(n.set.Lease), p.expiry, "a round that was not sent")
		require.Equal(t, n.round, p.round)
	}
	c.tell(m.name, other, ackOf(n, n.round, 100*time.Millisecond))
	require.Equal(t, sentAt+n.worth(n.set.Lease), p.expiry, "a shorter promise takes nothing back")
}

// An ack that arrives after a later round's is news of the promise only.
func TestRule14LateAckTakesNothingBack(t *testing.T) {
	c, m := newLeader(t)
	quiet(c)
	n := &m.node
	other := c.others(m.name)[0]
	p := n.peerOf(idOf(other))
	c.run(2 * n.set.Heartbeat)
	c.tell(m.name, other, ackOf(n, n.round, 500*time.Millisecond))
	before := *p
	c.now += time.Millisecond
	late := ackOf(n, n.round-1, 500*time.Millisecond)
	late.ConfigID.Version--
	c.tell(m.name, other, late)
	require.Equal(t, before.round, p.round)
	require.Equal(t, before.path, p.path)
	require.Equal(t, before.acked, p.acked)
	require.Equal(t, before.rtt, p.rtt)
	require.Equal(t, before.expiry, p.expiry)
}

// A round so old that its number is used again is not looked up.
func TestRule14AckOfARoundLongPastIsNotCounted(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	c.run(maxRounds * 60 * time.Millisecond)
	quiet(c)
	p := n.peerOf(idOf(c.others(m.name)[0]))
	for _, old := range []uint64{maxRounds, maxRounds + 1} {
		c.run(n.set.Heartbeat)
		before := *p
		c.tell(m.name, nameOf(p.id), ackOf(n, n.round-old, 500*time.Millisecond))
		require.Equal(t, before, *p)
	}
	at := p.ackAt
	c.now += time.Millisecond
	c.tell(m.name, nameOf(p.id), ackOf(n, n.round-maxRounds+1, 0))
	require.Greater(t, p.ackAt, at, "the oldest round that is kept")
}

// A lease is handed out as long as a majority's promises, no longer, and
// within a period it never ends earlier than it was told.
func TestRule14LeaseIsTheMajoritysAndNeverShrinks(t *testing.T) {
	c := newCluster(t, "a", "b", "c", "d", "e")
	m := c.nodes[c.awaitGoose(time.Second)]
	quiet(c)
	n := &m.node
	c.run(n.set.Heartbeat)
	rest := c.others(m.name)
	until := n.Lease().Until
	c.tell(m.name, rest[0], ackOf(n, n.round, n.set.Lease))
	require.Equal(t, until, n.Lease().Until, "two of five")
	c.tell(m.name, rest[1], ackOf(n, n.round, 480*time.Millisecond))
	require.Equal(t, n.rounds[n.round%maxRounds].sentAt+n.worth(480*time.Millisecond), n.Lease().Until)
}

// A jump of the boot clock drops every promise counted so far. Acks of rounds
// that left before bring none of them back.
func TestRule17ClockJumpDropsTheLeaseAndAcksOnTheirWay(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	require.NotZero(t, n.Lease())
	before := n.round
	quiet(c)
	require.NoError(t, c.step(m.name, ClockJump{}))
	require.Zero(t, n.Lease())
	for _, other := range c.others(m.name) {
		c.tell(m.name, other, ackOf(n, before, 500*time.Millisecond))
	}
	require.Zero(t, n.Lease())
	require.Equal(t, Leader, n.role)
	c.run(n.set.Heartbeat)
	require.Greater(t, n.round, before)
	for _, other := range c.others(m.name) {
		c.tell(m.name, other, ackOf(n, n.round, 500*time.Millisecond))
	}
	require.NotZero(t, n.Lease(), "earned anew in the same term")
}

func TestRule17ClockJumpDropsALoneGoosesLease(t *testing.T) {
	c := newCluster(t, "a")
	c.awaitGoose(time.Second)
	require.NoError(t, c.step("a", ClockJump{}))
	require.Zero(t, c.nodes["a"].node.Lease())
	c.until(100*time.Millisecond, "the lease again", func() bool { return c.goose() == "a" })
}

// A loop that woke late hears what waits before it judges the time: only a
// Tick makes a candidate, whatever the message and however late it is.
func TestRule17OnlyATickCampaigns(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Second)
	c.run(time.Second)
	late := c.others(g)[0]
	n := &c.nodes[late].node
	var missed []Message
	c.drop = func(m *Message) bool {
		if m.Kind == Heartbeat && m.To == idOf(late) {
			missed = append(missed, *m)
			return true
		}
		return false
	}
	c.nodes[late].down = true // its process is stopped, and its inbox fills
	c.run(10 * time.Second)
	c.nodes[late].down = false
	require.NotEmpty(t, missed)
	require.Greater(t, c.now, n.electAt)
	for i := range missed {
		require.NoError(t, c.step(late, &missed[i]))
		require.Equal(t, Follower, n.role)
	}
	require.NoError(t, c.step(late, Tick{}))
	require.Equal(t, Follower, n.role, "the goose is alive")
}

// A deadline that holders act by is not shortened by a later period's shorter lease.
func TestRule12HandedOutDeadlineNeverShrinks(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	require.NoError(t, c.step(m.name, Holders{Attached: true}))
	until := n.HandedTo()
	require.Equal(t, n.Lease().Until, until)
	quiet(c)
	c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: header(n.rec.Term+1, n.rec.Config)})
	c.elect(m)
	c.tell(m.name, otherThan(m.name), ackOf(n, n.round, 100*time.Millisecond))
	require.NotZero(t, n.Lease())
	require.Less(t, n.Lease().Until, until)
	require.Equal(t, until, n.HandedTo())
}

// A change that a leader has not made goes with its term.
func TestRule05ChangeEndsWithItsTerm(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	quiet(c)
	before := n.rec.Config.Voters
	require.NoError(t, c.step(m.name, Change{Voter: Voter{idOf("d"), 100}}))
	c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: header(n.rec.Term+1, n.rec.Config)})
	c.elect(m)
	for _, other := range c.others(m.name) {
		c.tell(m.name, other, ackOf(n, n.round, 500*time.Millisecond))
	}
	require.True(t, n.Committed())
	require.Equal(t, before, n.rec.Config.Voters)
}

// A goose that gave up in one term leads the next one as any other does.
func TestRule16GivingUpEndsWithItsTerm(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	quiet(c)
	require.NoError(t, c.step(m.name, StepDown{To: idOf(otherThan(m.name))}))
	c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: header(n.rec.Term+1, n.rec.Config)})
	c.now += 100 * time.Millisecond
	c.elect(m)
	require.False(t, n.HandingOver())
	c.tell(m.name, otherThan(m.name), ackOf(n, n.round, 500*time.Millisecond))
	require.NotZero(t, n.Lease())
	at := c.now
	require.NoError(t, c.step(m.name, StepDown{To: idOf(otherThan(m.name))}))
	c.run(n.set.Lease/2 - time.Millisecond)
	require.Equal(t, Leader, n.role, "it asks for half a lease: %v", c.now-at)
	c.run(2 * time.Millisecond)
	require.Equal(t, Follower, n.role)
	require.Greater(t, n.QuietUntil(), c.now+n.set.Lease)

	c, m = newLeader(t)
	n = &m.node
	quiet(c)
	require.NoError(t, c.step(m.name, Holders{Attached: true}))
	require.NoError(t, c.step(m.name, RaiseTerm{Term: n.rec.Term + 5}))
	c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: header(n.rec.Term+1, n.rec.Config)})
	c.elect(m)
	term := n.rec.Term
	c.tell(m.name, otherThan(m.name), ackOf(n, n.round, 500*time.Millisecond))
	require.NoError(t, c.step(m.name, StepDown{To: idOf(otherThan(m.name))}))
	require.NoError(t, c.step(m.name, Holders{}))
	require.NoError(t, c.step(m.name, Drained{}))
	require.Equal(t, Leader, n.role)
	require.Equal(t, term, n.rec.Term, "it asks a successor, and raises no term")
}

// A leader that stands down forgets the lead at once: it sends no heartbeat any
// more, shows no leader, and is silent for two leases.
func TestRule20LeaderThatStandsDownIsSilent(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	quiet(c)
	require.NoError(t, c.step(m.name, Busy{}))
	for n.role == Leader {
		require.True(t, c.next(c.now+3*time.Second))
	}
	require.Empty(t, m.fx.Send)
	require.False(t, m.fx.Announce)
	require.Zero(t, n.leader)
	require.Equal(t, c.now+2*n.set.Lease, n.QuietUntil())
	require.GreaterOrEqual(t, n.electAt, n.QuietUntil())
	before := *n
	c.tell(m.name, otherThan(m.name), ackOf(n, n.round, 500*time.Millisecond))
	require.Equal(t, before, *n, "a late ack is for nobody")

	c, m = newLeader(t)
	quiet(c)
	require.NoError(t, c.step(m.name, StepDown{To: idOf(otherThan(m.name))}))
	c.run(300 * time.Millisecond)
	require.Equal(t, Follower, m.node.role)
	require.False(t, m.node.HandingOver())
}

// Rounds keep their rhythm. A Tick before its time sends nothing, and a round
// that leaves late does not move the next one.
func TestRule14RoundsKeepTheirRhythm(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	round, due := n.round, n.nextRound
	require.NoError(t, c.step(m.name, Tick{}))
	require.Equal(t, round, n.round)
	c.now = due + n.set.Heartbeat/5
	require.NoError(t, c.step(m.name, Tick{}))
	require.Equal(t, round+1, n.round)
	require.Equal(t, due+n.set.Heartbeat, n.nextRound)
	c.now = n.nextRound + 3*n.set.Heartbeat
	require.NoError(t, c.step(m.name, Tick{}))
	require.Equal(t, c.now+n.set.Heartbeat, n.nextRound, "after a longer pause it begins anew")
}

// A heartbeat carries the config until its receiver has acknowledged it.
func TestRule06HeartbeatsCarryTheConfigUntilItIsAcknowledged(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	ahead := c.others(m.name)[1]
	n.peerOf(idOf(c.others(m.name)[0])).acked = ConfigID{}
	c.now = n.nextRound
	require.NoError(t, c.step(m.name, Tick{}))
	require.Len(t, m.fx.Send, 2)
	for _, sent := range m.fx.Send {
		require.Equal(t, nameOf(sent.To) == ahead, sent.Config.N == 0, nameOf(sent.To))
	}
	require.Equal(t, n.rec.Config, m.fx.Announcement.Config, "those that are not in view never acknowledge")
}

// An agent that was ahead is not for ever: the term it showed is forgotten with the next win.
func TestRule07TermOfAnAgentThatIsAheadIsForgottenByTheNextWin(t *testing.T) {
	c, m := newLeader(t)
	quiet(c)
	require.NoError(t, c.step(m.name, Observe{ID: idOf("x")}))
	c.tell(m.name, "x", Message{Kind: Reject, Header: header(m.node.rec.Term+1, Config{})})
	require.EqualValues(t, m.node.rec.Term+1, m.node.Contacts(nil)[2].Term)
	c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: header(m.node.rec.Term+1, m.node.rec.Config)})
	c.elect(m)
	require.Zero(t, m.node.Contacts(nil)[2].Term)
}

// The goose before this one ranks last of those that may lead, before a witness.
func TestRule24FormerGooseRanksBeforeAWitness(t *testing.T) {
	c := newCluster(t)
	config := configOf("a", "b", "c").With(Voter{idOf("w"), 0})
	for _, name := range []string{"a", "b", "c", "w"} {
		c.add(name, Record{FlockID: testFlock, Config: config, PromiseMax: 500 * time.Millisecond}, true)
	}
	require.Equal(t, "a", c.awaitGoose(time.Second))
	c.run(time.Second)
	require.NoError(t, c.step("a", StepDown{To: idOf("b")}))
	c.until(time.Second, "b as goose", func() bool { return c.goose() == "b" })
	require.Equal(t, [MaxVoters]uint8{1, 3, 0, 2}, c.nodes["b"].node.rank24(c.now))
}
