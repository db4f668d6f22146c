package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func ask(term uint64, c Config) Message {
	return Message{Kind: VoteRequest, Header: header(term, c)}
}

// An earlier vote for the same candidate answers a repeated request of that
// term only. In a later term all checks are made again.
func TestRule02EarlierVoteSaysNothingOfALaterTerm(t *testing.T) {
	own := at(2, 2, "a", "b", "c")
	c, _ := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
	require.Equal(t, OldConfig, only(t, c.tell("a", "b", ask(4, at(2, 1)))).Reason)

	c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
	n.promise = Promise{idOf("c"), 3, c.now + time.Millisecond}
	require.Equal(t, Promised, only(t, c.tell("a", "b", ask(4, own))).Reason)
}

func TestRule02WitnessIsNoCandidate(t *testing.T) {
	own := at(2, 2, "a", "b", "c").With(Voter{idOf("b"), 0})
	c, _ := lone(t, "a", Record{Term: 3, Config: own})
	require.Equal(t, NotCandidate, only(t, c.tell("a", "b", ask(4, own))).Reason)
}

func TestRule02PreVoteForATermBelowTheVotersIsRefused(t *testing.T) {
	own := at(2, 2, "a", "b", "c")
	c, _ := lone(t, "a", Record{Term: 3, Config: own})
	reply := only(t, c.tell("a", "b", Message{Kind: PreVoteRequest, NextTerm: 2, Nonce: 1, Header: header(3, own)}))
	require.Equal(t, OldTerm, reply.Reason)
	require.False(t, reply.Granted)
}

// A copy of a request that arrives after its sender won must not end the
// promise that its sender's lease counts on.
func TestRule02RepeatedRequestKeepsThePromise(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Config: own})
	require.True(t, only(t, c.tell("a", "b", ask(4, own))).Granted)
	c.tell("a", "b", beat(1, 500*time.Millisecond, 4, own))
	before := n.promise
	electAt := n.electAt
	require.True(t, only(t, c.tell("a", "b", ask(4, own))).Granted)
	require.Equal(t, before, n.promise)
	require.Equal(t, electAt, n.electAt)
	require.Equal(t, Promised, only(t, c.tell("a", "c", ask(5, own))).Reason)
}

// R2: a voter that gave its vote waits half a lease for its candidate to win,
// and a whole one after an election that brought no leader.
func TestRule02VoterGivesItsCandidateTimeToWin(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 1, Config: own})
	most := n.rankStep() * 3
	for i := range uint64(10) {
		patience := n.set.Lease
		if i == 0 {
			patience /= 2
		}
		require.True(t, only(t, c.tell("a", "b", ask(2+i, own))).Granted)
		require.GreaterOrEqual(t, n.electAt, c.now+patience, "vote %d", i)
		require.LessOrEqual(t, n.electAt, c.now+patience+most, "vote %d", i)
		require.EqualValues(t, min(i+1, 3), n.failures)
	}
	c.tell("a", "b", beat(1, 0, 11, own))
	require.True(t, only(t, c.tell("a", "c", ask(12, own))).Granted)
	require.LessOrEqual(t, n.electAt, c.now+n.set.Lease/2+most, "a leader was heard in between")
}

// asking gives a of five voters while it asks for PreVotes, or for votes of term 2.
func asking(t *testing.T, role Role) (*cluster, *Node) {
	c := newCluster(t, "a", "b", "c", "d", "e")
	c.drop = func(*Message) bool { return true }
	m := c.nodes["a"]
	m.node.rec.Term = 1
	if role == Candidate {
		m.node.becomeCandidate(c.now, 2, ID{}, 0, &m.fx)
	} else {
		m.node.campaign(c.now, &m.fx)
	}
	m.wake, m.disk = m.node.wakeAt(c.now), m.node.rec
	require.Equal(t, role, m.node.role)
	return c, &m.node
}

// answer gives a voter's reply to what n asks now.
func answer(n *Node, granted bool, reason Reason) Message {
	m := Message{Kind: VoteReply, Granted: granted, Reason: reason, Header: header(n.rec.Term, n.rec.Config)}
	if n.role == PreCandidate {
		m.Kind, m.Nonce = PreVoteReply, n.nonce
	}
	return m
}

func TestRule03PreVotesOfAnEarlierRoundAreNotCounted(t *testing.T) {
	c, n := asking(t, PreCandidate)
	for _, from := range []string{"b", "c", "d", "e"} {
		old := answer(n, true, NoReason)
		old.Nonce++
		c.tell("a", from, old)
	}
	require.Equal(t, PreCandidate, n.role)
	require.EqualValues(t, 1, n.rec.Term)
	for _, from := range []string{"x", "y", "b", "b"} {
		c.tell("a", from, answer(n, true, NoReason))
	}
	require.Equal(t, PreCandidate, n.role, "two who are no voters, and one twice")
	c.tell("a", "c", answer(n, true, NoReason))
	require.Equal(t, Candidate, n.role)
}

// R3: a campaign that a majority has refused for good ends at once. A voter
// whose refusal and grant crossed on the way has granted.
func TestRule03CampaignWithoutHopeEndsAtOnce(t *testing.T) {
	for _, role := range []Role{PreCandidate, Candidate} {
		c, n := asking(t, role)
		c.tell("a", "b", answer(n, false, Voted))
		c.tell("a", "b", answer(n, true, NoReason))
		c.tell("a", "c", answer(n, false, NotCandidate))
		c.tell("a", "x", answer(n, false, Voted))
		c.tell("a", "d", answer(n, false, Voted))
		require.Equal(t, role, n.role, "e may still grant")
		c.tell("a", "e", answer(n, false, OldConfig))
		require.Equal(t, Follower, n.role)
		require.Equal(t, EventSplit, c.nodes["a"].fx.Events[0].Kind)
	}
}

// A grant shows the term of a voter that would follow: adopting it would end
// the very campaign that it supports.
func TestRule07GrantedPreVoteOfAVoterThatIsAheadCounts(t *testing.T) {
	c, n := asking(t, PreCandidate)
	for _, from := range []string{"b", "c"} {
		m := answer(n, true, NoReason)
		m.Term = 2
		c.tell("a", from, m)
	}
	require.Equal(t, Candidate, n.role)
	require.EqualValues(t, 2, n.rec.Term)
}

// A refused request moves the term if its sender is trusted and no promise
// stands in the way; the vote stays free.
func TestRule07RefusedRequestMovesTheTermOfAVoterThatIsFree(t *testing.T) {
	own := at(2, 2, "a", "b", "c").With(Voter{idOf("c"), 0})
	for _, tt := range []struct {
		name   string
		from   string
		config Config
		want   uint64
	}{
		{"a voter with an older config", "b", at(2, 1), 7},
		{"a witness", "c", own, 7},
		{"no voter, the same config", "x", own, 3},
		{"no voter, an older config", "x", at(2, 1), 3},
	} {
		c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
		require.False(t, only(t, c.tell("a", tt.from, ask(7, tt.config))).Granted, tt.name)
		require.Equal(t, tt.want, n.rec.Term, tt.name)
		require.Equal(t, tt.want == 7, n.rec.Vote.IsZero(), tt.name)
		require.Equal(t, n.rec, c.nodes["a"].disk, tt.name)
	}
	c, n := asking(t, PreCandidate)
	c.tell("a", "b", ask(1, at(0, 0)))
	require.Equal(t, PreCandidate, n.role, "a request of its own term ends no PreVote")
}

// The promisee is exempt in a later term only: in the promise's own term it
// still acts by it. After a recovery the vote of that term is free again.
func TestRule12PromiseeIsNotExemptInThePromisesOwnTerm(t *testing.T) {
	own := at(3, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
	c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
	recovered := at(0, 1, "a", "b", "c")
	h := Header{Generation: Generation{1, 42}, Term: 3, ConfigID: recovered.ConfigID}
	c.tell("a", "c", Message{Kind: Reject, Header: h, Config: recovered})
	require.Zero(t, n.rec.Vote)
	require.Equal(t, Promised, only(t, c.tell("a", "b", Message{Kind: VoteRequest, Header: h})).Reason)
	h.Term++
	require.True(t, only(t, c.tell("a", "b", Message{Kind: VoteRequest, Header: h})).Granted)
}

func TestRule12TransferReleasesThePromiseOfItsOwnTermOnly(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: 2, Vote: idOf("b"), Config: own})
	c.tell("a", "b", beat(1, 500*time.Millisecond, 2, own))
	c.tell("a", "c", Message{Kind: Reject, Header: header(3, own)})
	require.EqualValues(t, 3, n.rec.Term)
	m := ask(4, own)
	m.TransferFrom, m.TransferTerm = idOf("b"), 3
	require.Equal(t, Promised, only(t, c.tell("a", "c", m)).Reason)
}

// A promise that its promisee released is over for everybody: nobody acts by it any more.
func TestRule12ReleasedPromiseIsOver(t *testing.T) {
	own := at(1, 1, "a", "b", "c", "d")
	c, n := lone(t, "a", Record{Term: 2, Vote: idOf("b"), Config: own})
	c.tell("a", "b", beat(1, 500*time.Millisecond, 2, own))
	m := ask(3, own)
	m.TransferFrom, m.TransferTerm = idOf("b"), 2
	require.True(t, only(t, c.tell("a", "c", m)).Granted)
	require.LessOrEqual(t, n.promise.End, c.now)
	require.True(t, only(t, c.tell("a", "d", ask(4, own))).Granted)
}

// A goose with a valid lease elects nobody, though no holder is attached: its
// lease was answered to whoever asked.
func TestRule12GooseIsBoundByItsOwnLease(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	term, other := n.rec.Term, otherThan(m.name)
	left := n.lease.Until - c.now
	require.Positive(t, left)
	for _, q := range []Message{
		ask(term+1, n.rec.Config),
		{Kind: PreVoteRequest, NextTerm: term + 1, Nonce: 1, Header: header(term, n.rec.Config)},
	} {
		reply := only(t, c.tell(m.name, other, q))
		require.Equal(t, Promised, reply.Reason)
		require.Equal(t, left, reply.Remaining)
		require.Equal(t, Leader, n.role)
		require.Equal(t, term, n.rec.Term)
		require.Greater(t, n.lease.Until, c.now)
	}
}

// A voter that names the end of its wait is asked again then, whatever the
// reason; one that names no time is not asked again at the same moment.
func TestRule23RestartedVoterIsAskedWhenItsWaitEnds(t *testing.T) {
	for _, reason := range []Reason{Promised, Restarted} {
		c, n := asking(t, PreCandidate)
		m := answer(n, false, reason)
		m.Remaining = 7 * time.Millisecond
		c.tell("a", "b", m)
		require.Equal(t, c.now+7*time.Millisecond, n.peerOf(idOf("b")).retryAt)
		m.Remaining = 0
		c.tell("a", "c", m)
		require.Greater(t, n.peerOf(idOf("c")).retryAt, c.now)
		require.Greater(t, c.nodes["a"].wake, c.now)
	}
}
