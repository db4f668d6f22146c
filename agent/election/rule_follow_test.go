package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member shows nobody of a lower term, and a non-member nobody whose config is older than its own.
func TestRule07LowerTermIsShownByNonMembersOfNoNewerConfigOnly(t *testing.T) {
	own := at(4, 2, "a", "b", "c")
	for _, tt := range []struct {
		name, agent string
		config      Config
		shown       bool
	}{
		{"a member", "a", own, false},
		{"a non-member, an older config", "x", at(4, 1), false},
		{"a non-member, the same config", "x", own, true},
		{"a non-member, a newer config", "x", at(4, 3), true},
	} {
		c, n := lone(t, tt.agent, Record{Term: 9, Config: own})
		sent := only(t, c.tell(tt.agent, "b", beat(1, time.Second, 4, tt.config)))
		require.Equal(t, Reject, sent.Kind, tt.name)
		id, _, _ := n.Heard()
		require.Equal(t, tt.shown, id == idOf("b"), tt.name)
		require.EqualValues(t, 9, n.rec.Term, tt.name)
	}
}

// Rounds are one leader's own. The rounds of a forged leader take nothing from the true one.
func TestRule11RoundsAreCountedByLeaderAndTerm(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
	c.tell("a", "c", beat(1<<40, 0, 3, own))
	require.NotZero(t, only(t, c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))).Promise)
	require.NotZero(t, only(t, c.tell("a", "b", beat(1, 500*time.Millisecond, 4, own))).Promise, "a new term begins anew")
	require.Equal(t, Promise{idOf("b"), 4, c.now + 500*time.Millisecond}, n.promise)
}

// A copy of a heartbeat does not count as news of its leader, nor does it end a campaign.
func TestRule11ReplayIsNoNewsOfTheLeader(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Config: own})
	c.tell("a", "b", beat(7, 10*time.Millisecond, 3, own))
	_, _, heardAt := n.Heard()
	c.until(time.Second, "PreVote", func() bool { return n.role == PreCandidate })
	require.Empty(t, c.tell("a", "b", beat(7, time.Second, 3, own)))
	require.Equal(t, PreCandidate, n.role)
	_, _, at := n.Heard()
	require.Equal(t, heardAt, at)
}

// While holders act by deadlines of a former period, this agent is promised to
// itself: it follows another leader and promises it nothing.
func TestRule12AgentWithHoldersPromisesNothing(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	require.NoError(t, c.step(m.name, Holders{Attached: true}))
	term, other, end := n.rec.Term, otherThan(m.name), n.promise.End
	require.Zero(t, only(t, c.tell(m.name, other, beat(1, 500*time.Millisecond, term+1, n.rec.Config))).Promise)
	require.Equal(t, end, n.promise.End)
	require.Equal(t, idOf(other), n.leader)
	require.NoError(t, c.step(m.name, Holders{}))
	require.NoError(t, c.step(m.name, Drained{}))
	require.Equal(t, 500*time.Millisecond, only(t, c.tell(m.name, other, beat(2, 500*time.Millisecond, term+1, n.rec.Config))).Promise)
}

// TimeoutNow releases the follower from its promise to the leader that sent it,
// and from nothing else.
func TestRule16TimeoutNowReleasesItsSendersPromiseOnly(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	for _, tt := range []struct {
		name  string
		spoil func(c *cluster, n *Node)
		want  Role
	}{
		{"nothing else binds", func(*cluster, *Node) {}, Candidate},
		{"it is promised to another", func(c *cluster, n *Node) { n.promise.To = idOf("c") }, Follower},
		{"it is promised to that leader in another term", func(c *cluster, n *Node) { n.promise.Term-- }, Follower},
		{"that promise has ended", func(c *cluster, n *Node) { n.promise = Promise{idOf("c"), 2, c.now} }, Candidate},
		{"it has restarted", func(c *cluster, n *Node) { n.waitUntil = c.now + 1 }, Follower},
		{"its wait has ended", func(c *cluster, n *Node) { n.waitUntil = c.now }, Candidate},
		{"its own holders act", func(c *cluster, n *Node) { n.handedTo = c.now + 1 }, Follower},
		{"its own holders have ended", func(c *cluster, n *Node) { n.handedTo = c.now }, Candidate},
		{"its work is late", func(c *cluster, n *Node) { n.late = true }, Follower},
		{"it campaigns already", func(c *cluster, n *Node) { n.role = PreCandidate }, PreCandidate},
		{"its term has risen", func(c *cluster, n *Node) { n.rec.Term++ }, Follower},
		{"that leader led another term", func(c *cluster, n *Node) { n.leaderTerm-- }, Follower},
	} {
		c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
		c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
		tt.spoil(c, n)
		c.tell("a", "b", Message{Kind: TimeoutNow, Header: header(3, own)})
		require.Equal(t, tt.want, n.role, tt.name)
	}
}

// A leader that asks for no promise leaves the others free to elect: it ends no
// PreVote. A candidate of its own term follows it all the same (rule 3).
func TestRule20HeartbeatThatAsksNothingEndsNoPreVote(t *testing.T) {
	for _, tt := range []struct {
		role Role
		d    time.Duration
		want Role
	}{
		{PreCandidate, 0, PreCandidate},
		{PreCandidate, time.Millisecond, Follower},
		{Candidate, 0, Follower},
	} {
		c, n := asking(t, tt.role)
		n.rec.Vote = ID{}
		c.tell("a", "b", beat(1, tt.d, n.rec.Term, n.rec.Config))
		require.Equal(t, tt.want, n.role)
	}
}

// A leader that asks for no promise is no sign of a goose, and its round trip is no longer than a lease.
func TestRule20HeartbeatThatAsksNothingShowsNoGoose(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Config: own})
	c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
	_, _, heardAt := n.Heard()
	require.Equal(t, c.now, heardAt)
	c.now += 50 * time.Millisecond
	m := beat(2, 0, 3, own)
	m.RTT = 3 * time.Millisecond
	electAt := n.electAt
	c.tell("a", "b", m)
	_, _, at := n.Heard()
	require.Equal(t, heardAt, at)
	require.Equal(t, electAt, n.electAt, "it delays no election")
	require.Equal(t, 3*time.Millisecond, n.leaderRTT)
	c.tell("a", "b", beat(3, 0, 3, own))
	require.Equal(t, 3*time.Millisecond, n.leaderRTT, "an unknown round trip changes nothing")
	m.Round, m.RTT = 4, time.Hour
	c.tell("a", "b", m)
	require.Equal(t, n.set.Lease, n.leaderRTT)
}

// Ranks count only with the config that they speak of.
func TestRule24RanksOfAnotherConfigAreIgnored(t *testing.T) {
	own := at(3, 2, "a", "b", "c")
	c, n := lone(t, "c", Record{Term: 3, Config: own})
	m := beat(1, 0, 3, at(3, 1))
	m.Ranks = [MaxVoters]uint8{2, 1, 0}
	c.tell("c", "b", m)
	require.Equal(t, 2, n.ownRank(), "the config's order")
	m = beat(2, 0, 3, own)
	m.Ranks = [MaxVoters]uint8{2, 1, 0}
	c.tell("c", "b", m)
	require.Equal(t, 0, n.ownRank())

	c, n = lone(t, "x", Record{Term: 3, Config: own})
	c.tell("x", "b", m)
	require.False(t, n.ranked, "no voter, no rank")
}

// After Resign its sender is no leader any more, so its TimeoutNow and its
// heartbeats count for nothing. The follower elects at once, by its rank.
func TestRule12ResignOfTheLeaderLetsItsFollowersElectAtOnce(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	follower := func() (*cluster, *Node) {
		c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
		c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
		return c, n
	}
	c, n := follower()
	c.tell("a", "b", Message{Kind: Resign, Header: header(3, own)})
	require.Zero(t, n.leader)
	require.LessOrEqual(t, n.electAt, c.now+3*n.rankStep())
	c.tell("a", "b", Message{Kind: TimeoutNow, Header: header(3, own)})
	require.Equal(t, Follower, n.role)

	for _, m := range []struct {
		from string
		term uint64
	}{{"c", 3}, {"b", 2}} {
		c, n = follower()
		before := n.electAt
		c.tell("a", m.from, Message{Kind: Resign, Header: header(m.term, own)})
		require.Equal(t, idOf("b"), n.leader)
		require.Equal(t, before, n.electAt)
		require.NotZero(t, only(t, c.tell("a", "b", beat(2, 500*time.Millisecond, 3, own))).Promise)
	}

	c, n = follower()
	c.now = n.promise.End + 1
	end := n.promise.End
	c.tell("a", "b", Message{Kind: Resign, Header: header(3, own)})
	require.Equal(t, end, n.promise.End, "a promise that has ended ends no later")

	c, n = follower()
	c.step("a", Tick{})
	c.tell("a", "b", Message{Kind: TimeoutNow, Header: header(3, own)})
	require.Equal(t, Candidate, n.role)
	n.promise = Promise{idOf("b"), 3, c.now + time.Second}
	electAt := n.electAt
	c.tell("a", "b", Message{Kind: Resign, Header: header(3, own)})
	require.Equal(t, Candidate, n.role)
	require.Equal(t, electAt, n.electAt)
}

// A vote given to nobody goes to the leader that is heard, a vote that was given stays.
func TestRule08FollowerOfAHigherTermNeedsToTrustIt(t *testing.T) {
	own := at(2, 2, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Vote: idOf("c"), Config: own})
	require.Empty(t, c.tell("a", "x", beat(1, time.Second, 4, own)))
	require.EqualValues(t, 3, n.rec.Term)
	require.Equal(t, idOf("c"), n.rec.Vote)
	require.Zero(t, n.promise)
	require.NotZero(t, only(t, c.tell("a", "x", beat(1, time.Second, 4, at(3, 1)))).Promise, "it shows a newer config")
	require.Equal(t, idOf("x"), n.rec.Vote)
}

// promise_max keeps what a longer lease asked for until every promise of that
// length has ended, and no restart waits for less meanwhile.
func TestRule11PromiseMaxIsLoweredOnlyAfterTheWaitOfARestart(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, _ := lone(t, "a", Record{Term: 1, Config: own})
	c.tell("a", "b", beat(1, 3*time.Second, 1, own))
	high := c.nodes["a"].disk.PromiseMax
	require.Equal(t, 4096*time.Millisecond, high)
	c.restart("a")
	n := &c.nodes["a"].node
	began := c.now
	for round := uint64(2); n.rec.PromiseMax == high; round++ {
		require.Less(t, c.now-began, 20*time.Second, "never lowered")
		c.now += 10 * time.Millisecond
		c.tell("a", "b", beat(round, 500*time.Millisecond, 1, own))
	}
	require.GreaterOrEqual(t, c.now, n.waitUntil)
	require.GreaterOrEqual(t, c.now-began, high)

}

func TestRule11PromiseMaxCoversTheLongestPromiseThatMayRun(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 1, Config: own})
	round := uint64(0)
	ask := func(d time.Duration) time.Duration {
		round++
		c.tell("a", "b", beat(round, d, 1, own))
		return c.nodes["a"].disk.PromiseMax
	}
	require.Equal(t, 8192*time.Millisecond, ask(8*time.Second))
	require.Equal(t, MaxPromise, ask(time.Hour), "no promise is longer")
	for range 10 {
		c.now += 3 * time.Second
		require.Equal(t, MaxPromise, ask(2*time.Second))
		c.now += 3 * time.Second
		require.Equal(t, MaxPromise, ask(9*time.Second))
	}
	for range 400 {
		c.now += 50 * time.Millisecond
		ask(time.Millisecond)
	}
	require.Equal(t, n.set.Lease, n.rec.PromiseMax, "this agent's own lease, if it leads")
}

// The Resign of a goose that died may overtake its last heartbeats, and a copy of an older
// one may come after it.
func TestRule12HeartbeatBehindALastWillAsksForNothing(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
	c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
	c.tell("a", "b", Message{Kind: Resign, Header: header(3, own)})
	c.tell("a", "b", Message{Kind: Resign, Header: header(2, own)})
	heardAt, electAt := n.heardAt, n.electAt
	c.now += time.Millisecond
	require.Zero(t, only(t, c.tell("a", "b", beat(2, 500*time.Millisecond, 3, own))).Promise)
	require.LessOrEqual(t, n.promise.End, c.now)
	require.Equal(t, heardAt, n.heardAt, "no goose was heard")
	require.Equal(t, electAt, n.electAt, "it elects as soon as without that heartbeat")
	c.now = n.electAt
	c.step("a", Tick{})
	require.Equal(t, PreCandidate, n.role)
	c.tell("a", "b", beat(3, 500*time.Millisecond, 3, own))
	require.Equal(t, PreCandidate, n.role)
}

func TestRule12LastWillNamesTheFirstSuccessorLast(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Second)
	c.run(time.Second)
	n := &c.nodes[g].node
	will := n.Will(c.now)
	require.Len(t, will, 2)
	for _, m := range will {
		require.Equal(t, Message{Kind: Resign, Header: Header{FlockID: testFlock, Generation: n.rec.Generation, From: n.set.ID, To: m.To, Term: n.rec.Term, ConfigID: n.rec.Config.ConfigID}}, m)
	}
	require.Equal(t, n.Successor(c.now), will[1].To)
	require.Empty(t, c.nodes[otherThan(g)].node.Will(c.now), "a follower leaves none")
}
