package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func beat(round uint64, d time.Duration, term uint64, c Config) Message {
	return Message{Kind: Heartbeat, Round: round, Promise: d, Header: header(term, c)}
}

func TestRule11PromiseIsTheHeartbeatsOwnAndAReplayPromisesNothing(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 1, Config: own})
	require.Equal(t, 300*time.Millisecond, only(t, c.tell("a", "b", beat(5, 300*time.Millisecond, 1, own))).Promise)
	end := n.promise.End
	require.Equal(t, c.now+300*time.Millisecond, end)
	for _, round := range []uint64{5, 4} {
		c.now += 100 * time.Millisecond
		require.Empty(t, c.tell("a", "b", beat(round, 300*time.Millisecond, 1, own)), "round %d again", round)
		require.Equal(t, end, n.promise.End)
	}
	require.Equal(t, time.Millisecond, only(t, c.tell("a", "b", beat(6, time.Millisecond, 1, own))).Promise)
	require.Equal(t, end, n.promise.End, "a shorter one takes nothing back")
	require.Zero(t, only(t, c.tell("a", "b", beat(7, 0, 1, own))).Promise)
	require.Equal(t, MaxPromise, only(t, c.tell("a", "b", beat(8, time.Hour, 1, own))).Promise)
	require.Equal(t, c.now+MaxPromise, n.promise.End)
}

func TestRule11HeartbeatForAnotherLifeAsksForNothing(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 1, Config: own})
	n.set.Life = 7
	for round, life := range []uint64{0, 6, 8} {
		m := beat(uint64(round)+1, 300*time.Millisecond, 1, own)
		m.ToLife = life
		require.Zero(t, only(t, c.tell("a", "b", m)).Promise, "the ack tells the life, and promises nothing")
		require.Zero(t, n.promise)
		require.Zero(t, n.heardAt, "no goose is shown by a recording")
	}
	m := beat(9, 300*time.Millisecond, 1, own)
	m.ToLife = 7
	require.Equal(t, 300*time.Millisecond, only(t, c.tell("a", "b", m)).Promise)
	require.Equal(t, c.now+300*time.Millisecond, n.promise.End)
	require.Equal(t, c.now, n.heardAt)
}

func TestRule11VoteRequestForAnotherLifeIsRefusedAndChangesNothing(t *testing.T) {
	own := at(1, 2, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Config: own})
	n.set.Life = 7
	before := n.rec
	for _, config := range []Config{own, at(1, 1, "a", "b", "c")} { // a term is adopted from an older config's candidate
		reply := only(t, c.tell("a", "b", Message{Kind: VoteRequest, Header: header(5, config)}))
		require.Equal(t, OtherLife, reply.Reason)
		require.False(t, reply.Granted)
		require.Equal(t, before, n.rec)
		require.Equal(t, Follower, n.role)
	}
	reply := only(t, c.tell("a", "b", Message{Kind: VoteRequest, Header: Header{Term: 5, ConfigID: own.ConfigID, ToLife: 7}}))
	require.True(t, reply.Granted)
	require.True(t, only(t, c.tell("a", "b", Message{Kind: PreVoteRequest, NextTerm: 6, Nonce: 5, Header: header(5, own)})).Granted,
		"a PreVote changes nothing, whoever it is for")
}

func TestRule11TimeoutNowAndResignForAnotherLifeDoNothing(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	for _, kind := range []Kind{TimeoutNow, Resign} {
		for _, term := range []uint64{1, 9} {
			c, n := lone(t, "a", Record{Term: 1, Vote: idOf("b"), Config: own})
			n.set.Life = 7
			m := beat(1, 300*time.Millisecond, 1, own)
			m.ToLife = 7
			c.tell("a", "b", m)
			before := *n
			require.Empty(t, c.tell("a", "b", Message{Kind: kind, Header: header(term, own)}))
			require.Equal(t, before, *n, "%v of term %d", kind, term)
			c.tell("a", "b", Message{Kind: kind, Header: Header{Term: 1, ConfigID: own.ConfigID, ToLife: 7}})
			require.NotEqual(t, before, *n)
		}
	}
}

// Captured heartbeats, played again to a voter that restarted, held a dead
// goose's promise for as long as the recording was.
func TestRule11RecordingHoldsNoPromiseOfARestartedVoter(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(2 * time.Second)
	voter, other := "b", "c"
	switch g {
	case "b":
		voter = "a"
	case "c":
		other = "a"
	}
	var recording []Message
	c.drop = func(m *Message) bool {
		if m.Kind == Heartbeat && m.To == idOf(voter) {
			recording = append(recording, *m)
		}
		return false
	}
	c.run(10 * time.Second)
	require.Greater(t, len(recording), 150)
	c.kill(g)
	c.kill(voter)
	c.restart(voter)
	for _, m := range recording {
		c.step(voter, &m)
		c.run(50 * time.Millisecond)
		if c.goose() != "" {
			break
		}
	}
	require.NotEmpty(t, c.goose(), "%s and %s elect nobody while the recording runs", voter, other)
}

func TestRule11RestartedVoterPromisesTheRoundAfterNext(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(2 * time.Second)
	voter := map[string]string{"a": "b", "b": "c", "c": "a"}[g]
	c.kill(voter)
	c.run(time.Second)
	c.restart(voter)
	c.until(105*time.Millisecond, "the voter's promise", func() bool { return c.nodes[voter].node.promise.End > c.now })
	require.Equal(t, g, c.goose())
}

func TestRule11CandidateThatKnowsNoLivesLosesNoTerm(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(2 * time.Second)
	heir := map[string]string{"a": "b", "b": "c", "c": "a"}[g]
	third := map[string]string{"a": "c", "b": "a", "c": "b"}[g]
	c.kill(third)
	c.restart(third)
	c.run(2 * time.Second) // its wait of rule 13 ends; the heir has heard nothing of it
	require.Equal(t, g, c.goose())
	require.Zero(t, c.nodes[heir].lives[idOf(third)])
	term := c.nodes[g].node.rec.Term
	c.link(false, g, third) // the third's vote must make the majority
	c.drop = func(m *Message) bool { return m.From == idOf(g) && m.Kind == VoteReply }
	require.NoError(t, c.step(g, StepDown{To: idOf(heir)}))
	c.until(20*time.Millisecond, "the heir leads", func() bool { return c.nodes[heir].node.role == Leader })
	require.Equal(t, term+1, c.nodes[heir].node.rec.Term)
}

// The seed's two sides had timeouts of their own: a voter with a shorter one
// elected another while the goose's lease ran.
func TestRule11VoterWithAShorterLeaseKeepsTheGoosesPromise(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	for _, m := range c.nodes {
		m.node.set.Lease, m.node.set.Eps = 100*time.Millisecond, 2*time.Millisecond
	}
	g := c.awaitGoose(2 * time.Second)
	c.run(time.Second)
	n := &c.nodes[g].node
	require.NoError(t, c.step(g, Pace{500 * time.Millisecond, 50 * time.Millisecond}))
	c.run(200 * time.Millisecond)
	term := n.rec.Term
	for _, other := range c.order {
		c.link(false, g, other)
	}
	left := n.lease.Until - c.now
	require.Greater(t, left, 400*time.Millisecond)
	c.run(left) // checkLeases looks at every step
	c.until(time.Second, "another goose", func() bool { return c.goose() != "" && c.goose() != g })
	require.Equal(t, term+1, c.nodes[c.goose()].node.rec.Term)
}

func TestRule11PromiseMaxIsSavedBeforeTheAckAndLoweredWhenItHasRunOut(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 1, Config: own})
	m := c.nodes["a"]
	c.tell("a", "b", beat(1, 3*time.Second, 1, own))
	require.True(t, m.fx.Save, "with the ack in the same step")
	require.GreaterOrEqual(t, m.disk.PromiseMax, 3*time.Second)
	require.LessOrEqual(t, m.disk.PromiseMax, 6*time.Second)
	high := m.disk.PromiseMax
	for round := uint64(2); m.disk.PromiseMax == high; round++ {
		require.Less(t, round, uint64(1000), "never lowered")
		require.True(t, n.rec.PromiseMax == high || c.now > n.promise.End)
		c.now += 50 * time.Millisecond
		c.tell("a", "b", beat(round, 500*time.Millisecond, 1, own))
		if m.disk.PromiseMax != high {
			require.GreaterOrEqual(t, c.now-time.Hour, 3*time.Second, "a larger promise may still run")
		}
	}
	require.Equal(t, 500*time.Millisecond, m.disk.PromiseMax)
}

func TestRule12PromiseYieldsOnlyToThePromiseeItsTransferAndItsResign(t *testing.T) {
	own := at(3, 1, "a", "b", "c")
	for _, tt := range []struct {
		name string
		from string
		ask  Message
		want bool
	}{
		{"another", "c", Message{Header: header(4, own)}, false},
		{"the promisee in a later term", "b", Message{Header: header(4, own)}, true},
		{"its transfer", "c", Message{Header: header(4, own), TransferFrom: idOf("b"), TransferTerm: 3}, true},
		{"its transfer, two terms on", "c", Message{Header: header(5, own), TransferFrom: idOf("b"), TransferTerm: 3}, false},
		{"its transfer of another term", "c", Message{Header: header(4, own), TransferFrom: idOf("b"), TransferTerm: 2}, false},
		{"another's transfer", "c", Message{Header: header(4, own), TransferFrom: idOf("c"), TransferTerm: 3}, false},
	} {
		c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
		c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
		tt.ask.Kind = VoteRequest
		require.Equal(t, tt.want, only(t, c.tell("a", tt.from, tt.ask)).Granted, tt.name)
		if !tt.want {
			require.Equal(t, uint64(3), n.rec.Term, "%s: no VoteRequest moves the term", tt.name)
		}
	}
}

func TestRule12ResignReleasesThePromiseOfItsOwnTermForGood(t *testing.T) {
	own := at(3, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
	c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
	c.tell("a", "b", Message{Kind: Resign, Header: header(2, own)})
	c.tell("a", "c", Message{Kind: Resign, Header: header(3, own)})
	require.Greater(t, n.promise.End, c.now, "another term, another leader")
	c.tell("a", "b", Message{Kind: Resign, Header: header(3, own)})
	require.LessOrEqual(t, n.promise.End, c.now)
	require.Zero(t, only(t, c.tell("a", "b", beat(2, 500*time.Millisecond, 3, own))).Promise, "a late heartbeat of it")
	require.LessOrEqual(t, n.promise.End, c.now)
	require.NotZero(t, only(t, c.tell("a", "b", beat(1, 500*time.Millisecond, 4, own))).Promise, "elected anew")
}

func TestRule12GooseIsBoundByTheDeadlinesOfItsHolders(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Second)
	c.run(time.Second)
	require.NoError(t, c.step(g, Holders{Attached: true}))
	n := &c.nodes[g].node
	until := n.HandedTo()
	require.Greater(t, until, c.now)
	other := otherThan(g)
	term, config := n.rec.Term, n.rec.Config
	c.tell(g, other, Message{Kind: Reject, Header: header(term+1, config)})
	require.Equal(t, Follower, n.role)
	require.Zero(t, n.lease, "deposed")
	ask := Message{Kind: VoteRequest, Header: header(term+2, config)}
	require.Equal(t, Promised, only(t, c.tell(g, other, ask)).Reason, "its holders still act")
	require.NoError(t, c.step(g, Holders{}))
	require.NoError(t, c.step(g, Drained{}))
	require.True(t, only(t, c.tell(g, other, ask)).Granted)
}

// Restarted 10 ms after an ack, it must not elect another while the goose that it acked still acts.
func TestRule13RestartedVoterWaitsWithoutExceptions(t *testing.T) {
	own := at(3, 1, "a", "b", "c")
	c, _ := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
	c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
	c.now += 10 * time.Millisecond
	c.restart("a")
	n := &c.nodes["a"].node
	require.Equal(t, c.now+505*time.Millisecond, n.WaitUntil(), "promise_max and 1 %")
	c.tell("a", "b", beat(2, 0, 3, own))
	c.tell("a", "b", Message{Kind: TimeoutNow, Header: header(3, own)})
	require.Equal(t, Follower, n.role, "no TimeoutNow")
	for _, ask := range []Message{
		{Header: header(4, own)},
		{Header: header(4, own), TransferFrom: idOf("b"), TransferTerm: 3},
	} {
		ask.Kind = VoteRequest
		for _, from := range []string{"b", "c"} {
			reply := only(t, c.tell("a", from, ask))
			require.Equal(t, Restarted, reply.Reason)
			require.Equal(t, n.WaitUntil()-c.now, reply.Remaining)
		}
	}
	require.Equal(t, uint64(3), n.rec.Term)
	c.now = n.WaitUntil()
	require.True(t, only(t, c.tell("a", "c", Message{Kind: VoteRequest, Header: header(4, own)})).Granted)
}

func TestRule13LoneVoterWaitsUnlessItsDiskIsNew(t *testing.T) {
	c := newCluster(t, "a")
	at := c.now
	c.awaitGoose(time.Second)
	require.Less(t, c.now-at, 50*time.Millisecond, "a new disk")
	c.kill("a")
	c.restart("a")
	at = c.now
	c.awaitGoose(time.Second)
	require.Greater(t, c.now-at, 500*time.Millisecond, "a holder of its former life may still act")
}

func TestRule14LeaseIsCountedFromTheSendAndVotesAreNoPromises(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.latency = 2 * time.Millisecond
	c.until(time.Second, "a leader", func() bool { return c.nodes["a"].node.role == Leader })
	n := &c.nodes["a"].node
	won := c.now
	require.Zero(t, n.Lease(), "before the first round of acks")
	require.Equal(t, "a", c.awaitGoose(time.Second))
	require.Equal(t, won+4*time.Millisecond, c.now)
	require.Equal(t, won+500*time.Millisecond*99/101-n.set.Eps, n.Lease().Until)
}

func TestRule14LoneGoosesLeaseEndsWhenItsLoopHangs(t *testing.T) {
	c := newCluster(t, "a")
	c.awaitGoose(time.Second)
	c.run(time.Second)
	l := c.nodes["a"].node.Lease()
	require.Greater(t, l.Until, c.now)
	require.Less(t, l.Until, c.now+500*time.Millisecond, "no step, no more than this")
}

func TestRule15LeaseIsRecountedUnderTheNewMembers(t *testing.T) {
	c := newCluster(t, "a")
	c.awaitGoose(time.Second)
	c.add("b", Record{FlockID: testFlock, PromiseMax: 500 * time.Millisecond}, true)
	require.NoError(t, c.step("a", Observe{ID: idOf("b")}))
	c.run(200 * time.Millisecond)
	require.NoError(t, c.step("a", Change{Voter: Voter{idOf("b"), 100}}))
	c.until(time.Second, "the change", func() bool { return c.nodes["a"].node.rec.Config.N == 2 && c.nodes["a"].node.Committed() })
	c.kill("b")
	c.run(500 * time.Millisecond)
	require.Empty(t, c.goose(), "one of two is no majority")
}

// TimeoutNow delivered after a re-election, to one that restarted, and from one that does not lead.
func TestRule16TimeoutNowIsTakenAtItsTermFromTheLeaderOnly(t *testing.T) {
	own := at(3, 1, "a", "b", "c")
	follower := func() (*cluster, *Node) {
		c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
		c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
		return c, n
	}
	c, n := follower()
	c.tell("a", "c", Message{Kind: TimeoutNow, Header: header(3, own)})
	require.Equal(t, Follower, n.role, "from another")
	c.tell("a", "b", beat(1, 500*time.Millisecond, 4, own))
	c.tell("a", "b", Message{Kind: TimeoutNow, Header: header(3, own)})
	require.Equal(t, Follower, n.role, "after a re-election")
	c, n = follower()
	sent := c.tell("a", "b", Message{Kind: TimeoutNow, Header: header(3, own)})
	require.Equal(t, Candidate, n.role, "past PreVote and its own promise")
	require.Len(t, sent, 2)
	require.Equal(t, VoteRequest, sent[0].Kind)
	require.Equal(t, idOf("b"), sent[0].TransferFrom)
	require.Equal(t, uint64(3), sent[0].TransferTerm)
}

func TestRule16GooseThatGaveUpAsksNoPromiseAndStaysSo(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Second)
	c.run(time.Second)
	term := c.nodes[g].node.rec.Term
	c.drop = func(m *Message) bool {
		if m.Kind == Heartbeat && m.From == idOf(g) && m.Term == term {
			require.Zero(t, m.Promise)
		}
		return m.Kind == TimeoutNow
	}
	require.NoError(t, c.step(g, StepDown{}))
	for end := c.now + time.Second; c.next(end); {
		l := c.nodes[g].node.Lease()
		require.True(t, l.Token == 0 || l.Token > term, "a goose again in the term it gave up")
	}
	require.ErrorIs(t, newCluster(t, "a").nodes["a"].node.stepDown(0, StepDown{}, &Effects{}), ErrNotLeader)
}

func TestRule16StepDownWithoutASuccessorIsAnError(t *testing.T) {
	c := newCluster(t, "a")
	c.awaitGoose(time.Second)
	require.ErrorIs(t, c.step("a", StepDown{}), ErrNoSuccessor)
	c.run(time.Second)
	require.Equal(t, "a", c.goose())
}

func TestRule18WhatIsHandedOutIsATokenWithItsEndAndTokensGrow(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	last := uint64(0)
	for range 4 {
		g := c.awaitGoose(3 * time.Second)
		l, rec := c.nodes[g].node.Lease(), c.nodes[g].node.Record()
		require.Equal(t, rec.Token(), l.Token)
		require.Greater(t, l.Token, last)
		last = l.Token
		c.run(time.Second)
		require.Equal(t, last, c.nodes[g].node.Lease().Token, "one period, one token")
		c.kill(g)
		c.run(time.Second)
		c.restart(g)
	}
}

// A candidate that named a former life of a voter asks it again at once, whatever
// its own rank: it has learnt the life from the refusal.
func TestRule11VoterOfAnotherLifeIsAskedAgainAtOnce(t *testing.T) {
	config := at(1, 1, "a", "b", "c")
	c, n := lone(t, "c", Record{Term: 1, Config: config})
	require.NoError(t, c.step("c", Tick{}))
	for n.role != Candidate && n.role != PreCandidate {
		c.run(time.Millisecond)
	}
	c.now = max(c.now, n.askedAt)
	sent := c.tell("c", "a", Message{Kind: PreVoteReply, Nonce: n.nonce, Reason: OtherLife, Header: header(1, config)})
	require.Empty(t, sent)
	require.LessOrEqual(t, n.wakeAt(c.now), c.now+time.Millisecond)
}
