package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tell gives a node one message, meant for its present life if it names none,
// and returns what it answers.
func (c *cluster) tell(to, from string, m Message) []Message {
	m.FlockID, m.From, m.To = testFlock, idOf(from), idOf(to)
	if m.ToLife == 0 {
		m.ToLife = c.nodes[to].set.Life
	}
	require.NoError(c.t, c.step(to, &m))
	return append([]Message(nil), c.nodes[to].fx.Send...)
}

// only demands that a node answered with one message, and gives it.
func only(t *testing.T, sent []Message) Message {
	t.Helper()
	require.Len(t, sent, 1)
	return sent[0]
}

// lone makes one node of a record, on a disk that has promised nothing.
func lone(t *testing.T, name string, rec Record) (*cluster, *Node) {
	c := newCluster(t)
	rec.FlockID, rec.PromiseMax = testFlock, 500*time.Millisecond
	c.add(name, rec, true)
	return c, &c.nodes[name].node
}

// at gives a config of these voters with this number.
func at(term, version uint64, names ...string) Config {
	c := configOf(names...)
	c.ConfigID = ConfigID{term, version}
	return c
}

func header(term uint64, c Config) Header { return Header{Term: term, ConfigID: c.ConfigID} }

func TestRule01ConfigsAreOrderedByTermThenVersion(t *testing.T) {
	ordered := []ConfigID{{0, 1}, {0, 2}, {1, 1}, {1, 3}, {2, 1}}
	for i, a := range ordered {
		for j, b := range ordered {
			require.Equal(t, i > j, a.Compare(b) > 0, "%v, %v", a, b)
		}
	}
}

func TestRule01InstallingRaisesTheTerm(t *testing.T) {
	c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: at(3, 1, "a", "b", "c")})
	newer := at(7, 1, "a", "b", "c")
	c.tell("a", "b", Message{Kind: Reject, Header: header(7, newer), Config: newer})
	require.Equal(t, uint64(7), n.rec.Term)
	require.Zero(t, n.rec.Vote)
	require.Equal(t, newer, n.rec.Config)
	c.tell("a", "b", Message{Kind: Reject, Header: header(7, at(6, 9)), Config: at(6, 9, "a")})
	require.Equal(t, newer, n.rec.Config, "an older one")
	c.tell("a", "x", Message{Kind: Reject, Header: header(3, at(8, 1)), Config: at(8, 1, "a", "b")})
	require.EqualValues(t, 8, n.rec.Term, "whatever term its sender shows")
}

func TestRule02VoterGrantsOncePerTermToACandidateThatIsNotBehind(t *testing.T) {
	own := at(2, 2, "a", "b", "c")
	for _, tt := range []struct {
		name   string
		vote   string
		term   uint64
		config Config
		from   string
		want   Reason
	}{
		{"a later term", "", 4, own, "b", NoReason},
		{"its own term, no vote yet", "", 3, own, "b", NoReason},
		{"its own term, the same candidate", "b", 3, own, "b", NoReason},
		{"its own term, another candidate", "c", 3, own, "b", Voted},
		{"a later term, after a vote", "c", 4, own, "b", NoReason},
		{"an older version", "", 4, at(2, 1), "b", OldConfig},
		{"a config of an older term", "", 4, at(1, 9), "b", OldConfig},
		{"a newer config, by one it does not know", "", 4, at(3, 1), "x", NoReason},
		{"no voter of the same config", "", 4, own, "x", NotCandidate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := Record{Term: 3, Config: own}
			if tt.vote != "" {
				rec.Vote = idOf(tt.vote)
			}
			c, n := lone(t, "a", rec)
			ask := Message{Kind: VoteRequest, Header: header(tt.term, tt.config)}
			first := only(t, c.tell("a", tt.from, ask))
			require.Equal(t, tt.want, first.Reason)
			require.Equal(t, tt.want == NoReason, first.Granted)
			if first.Granted {
				require.Equal(t, idOf(tt.from), n.rec.Vote)
				require.Equal(t, n.rec, c.nodes["a"].disk, "durable before the answer leaves")
			}
			require.Equal(t, first, only(t, c.tell("a", tt.from, ask)), "a repeated request gets the same answer")
		})
	}
}

func TestRule02VoterNeedNotBeInItsOwnConfig(t *testing.T) {
	c, _ := lone(t, "x", Record{Config: at(1, 1, "a", "b", "c")})
	require.True(t, only(t, c.tell("x", "a", Message{Kind: VoteRequest, Header: header(2, at(1, 2))})).Granted)
}

// A simulated death of the seed's forgot the vote, and a second candidate got another.
func TestRule02VoteOutlivesACrash(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	c, _ := lone(t, "a", Record{Term: 1, Config: own})
	require.True(t, only(t, c.tell("a", "b", Message{Kind: VoteRequest, Header: header(2, own)})).Granted)
	c.restart("a")
	c.now += time.Second
	require.Equal(t, Voted, only(t, c.tell("a", "c", Message{Kind: VoteRequest, Header: header(2, own)})).Reason)
	require.True(t, only(t, c.tell("a", "b", Message{Kind: VoteRequest, Header: header(2, own)})).Granted)
}

func TestRule03OnlyVotersAboveAWitnessCampaign(t *testing.T) {
	witness := at(1, 1, "a", "b", "c").With(Voter{idOf("a"), 0})
	for name, config := range map[string]Config{"observer": at(1, 1, "b", "c", "d"), "witness": witness, "none": {}} {
		c, n := lone(t, "a", Record{Term: 1, Config: config})
		for end := c.now + time.Minute; c.next(end); {
			require.Equal(t, Follower, n.role, name)
		}
	}
}

func TestRule03VotesCountFromMembersInThisTermOnly(t *testing.T) {
	c := newCluster(t, "a", "b", "c", "d", "e")
	c.drop = func(*Message) bool { return true }
	n := &c.nodes["a"].node
	n.becomeCandidate(c.now, 5, ID{}, 0, &c.nodes["a"].fx)
	vote := func(from string, term uint64) {
		c.tell("a", from, Message{Kind: VoteReply, Granted: true, Header: header(term, n.rec.Config)})
	}
	vote("x", 5)
	vote("y", 5)
	vote("b", 4)
	vote("c", 5)
	vote("c", 5)
	require.Equal(t, Candidate, n.role, "itself and c")
	vote("d", 5)
	require.Equal(t, Leader, n.role)
}

func TestRule03CandidateFollowsAndLeaderRefusesASecondLeaderOfItsTerm(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.drop = func(*Message) bool { return true }
	m := c.nodes["a"]
	m.node.becomeCandidate(c.now, 5, ID{}, 0, &m.fx)
	beat := Message{Kind: Heartbeat, Round: 1, Promise: 500 * time.Millisecond, Header: header(5, m.node.rec.Config)}
	require.Equal(t, 500*time.Millisecond, only(t, c.tell("a", "b", beat)).Promise)
	require.Equal(t, Follower, m.node.role)

	m = c.nodes["b"]
	m.node.becomeCandidate(c.now, 6, ID{}, 0, &m.fx)
	c.tell("b", "c", Message{Kind: VoteReply, Granted: true, Header: header(6, m.node.rec.Config)})
	require.Equal(t, Leader, m.node.role)
	beat.Header = header(6, m.node.rec.Config)
	require.Empty(t, c.tell("b", "a", beat))
	require.Equal(t, Leader, m.node.role)
	require.Equal(t, EventTwoLeaders, m.log[len(m.log)-1].Kind)
}

func TestRule04LeaderStampsItsConfigAndSavesItBeforeTheFirstHeartbeat(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	beats := 0
	c.drop = func(m *Message) bool {
		if m.Kind == Heartbeat {
			beats++
			require.Equal(t, ConfigID{m.Term, 1}, m.ConfigID)
			require.Equal(t, m.ConfigID, c.nodes[nameOf(m.From)].disk.Config.ConfigID)
		}
		return false
	}
	g := c.awaitGoose(time.Second)
	require.NotZero(t, beats)
	require.Equal(t, configOf("a", "b", "c").Voters, c.nodes[g].node.rec.Config.Voters)
}

func TestRule06AnybodyButALeaderInstallsANewerConfig(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	newer := at(1, 2, "a", "b")
	show := Message{Kind: Reject, Header: header(1, newer), Config: newer}
	for _, role := range []Role{Follower, PreCandidate, Candidate} {
		c, n := lone(t, "a", Record{Term: 2, Config: own})
		n.role = role
		c.tell("a", "x", show)
		require.Equal(t, newer, n.rec.Config)
		require.Equal(t, Follower, n.role, "installing ends a campaign (rule 3)")
		require.Equal(t, uint64(2), n.rec.Term)
	}
	c := newCluster(t, "a", "b", "c")
	g := c.nodes[c.awaitGoose(time.Second)]
	term := g.node.rec.Term
	before := g.node.rec.Config
	newer = at(term, 5, "x")
	c.tell(g.name, "x", Message{Kind: Reject, Header: header(term, newer), Config: newer})
	require.Equal(t, before, g.node.rec.Config, "only a leader of this very term could have made it")
	newer = at(term+1, 1, "a", "b", "c")
	c.tell(g.name, "x", Message{Kind: Reject, Header: header(term+1, newer), Config: newer})
	require.Equal(t, Follower, g.node.role, "it steps down by the term first")
	require.Equal(t, newer, g.node.rec.Config)
}

func TestRule07RemovedAgentsDisturbNobody(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.nodes[c.awaitGoose(time.Second)]
	term, config := g.node.rec.Term, g.node.rec.Config
	for _, kind := range []Kind{Reject, HeartbeatAck, VoteReply, VoteRequest, Heartbeat} {
		for _, old := range []Config{config, at(0, 1)} {
			c.tell(g.name, "x", Message{Kind: kind, Round: 1, Header: header(term+9, old)})
			require.Equal(t, term, g.node.rec.Term, "%v", kind)
		}
	}
	c.tell(g.name, otherThan(g.name), Message{Kind: Reject, Header: header(term+9, config)})
	require.Equal(t, term+9, g.node.rec.Term, "a voter's term counts")
}

func otherThan(name string) string {
	if name == "a" {
		return "b"
	}
	return "a"
}

func TestRule07NonMemberShowsTheGooseOfTheNewestConfigAndAcksNoLowerTerm(t *testing.T) {
	config := at(4, 2, "a", "b", "c")
	c, n := lone(t, "x", Record{Term: 9, Config: config})
	sent := only(t, c.tell("x", "a", Message{Kind: Heartbeat, Round: 1, Promise: time.Second, Header: header(4, config)}))
	require.Equal(t, Reject, sent.Kind)
	id, term, _ := n.Heard()
	require.Equal(t, idOf("a"), id)
	require.Equal(t, uint64(4), term)
	require.Zero(t, n.promise)
}

func TestRule07GooseRaisesItsTermToAddAnAgentThatIsAhead(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.add("x", Record{FlockID: testFlock, Term: 40, PromiseMax: 500 * time.Millisecond}, true)
	g := c.awaitGoose(time.Second)
	require.NoError(t, c.step(g, Observe{ID: idOf("x")}))
	c.run(time.Second)
	require.Equal(t, g, c.goose())
	require.ErrorIs(t, c.step(g, Change{Voter: Voter{idOf("x"), 100}}), ErrInvalid)
	require.NoError(t, c.step(g, RaiseTerm{Term: 40}))
	require.Zero(t, c.nodes[g].node.lease, "it is no goose while it campaigns anew")
	c.until(time.Second, "the raised term", func() bool { return c.goose() == g && c.nodes[g].node.rec.Term == 41 })
	c.until(time.Second, "a config of that term", c.nodes[g].node.Committed)
	c.run(200 * time.Millisecond)
	require.NoError(t, c.step(g, Change{Voter: Voter{idOf("x"), 100}}))
	c.run(time.Second)
	require.Equal(t, g, c.goose())
	require.True(t, c.nodes["x"].node.rec.Config.Has(idOf("x")))
}

func TestRule08HeartbeatIsAVote(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	for _, tt := range []struct {
		term uint64
		vote string
		want string
	}{{4, "", "b"}, {4, "c", "b"}, {3, "", "b"}, {3, "c", "c"}} {
		rec := Record{Term: 3, Config: own}
		if tt.vote != "" {
			rec.Vote = idOf(tt.vote)
		}
		c, n := lone(t, "a", rec)
		c.tell("a", "b", Message{Kind: Heartbeat, Round: 1, Header: header(tt.term, own)})
		require.Equal(t, idOf(tt.want), n.rec.Vote)
		require.Equal(t, n.rec, c.nodes["a"].disk)
	}
}

func TestRule09LowerTermIsRejectedNeverMetBySilence(t *testing.T) {
	own := at(4, 2, "a", "b", "c")
	c, _ := lone(t, "a", Record{Term: 5, Config: own})
	for _, kind := range []Kind{Heartbeat, VoteRequest, PreVoteRequest} {
		m := Message{Kind: kind, Round: 1, NextTerm: 9, Header: header(4, at(4, 1))}
		sent := only(t, c.tell("a", "b", m))
		require.Equal(t, Reject, sent.Kind)
		require.Equal(t, uint64(5), sent.Term)
		require.Equal(t, own, sent.Config, "what the sender lacks")
		require.Empty(t, c.tell("a", "b", m), "%v: one Reject per peer and moment", kind)
		require.Len(t, c.tell("a", "c", m), 1, "%v: another peer's own", kind)
		c.now += rejectEvery
		require.Len(t, c.tell("a", "b", m), 1)
		require.Empty(t, c.tell("a", "b", Message{Kind: Reject, Header: header(1, Config{})}), "a Reject is never answered")
		c.now += rejectEvery
	}
}

// Whose datagrams are believed is the agent's to judge, before they come here.
func TestRule10RulesReadNoStartLifeOrSeq(t *testing.T) {
	after := func(h Header) Node {
		own := at(1, 1, "a", "b", "c")
		c, n := lone(t, "a", Record{Term: 3, Config: own})
		h.Term, h.ConfigID = 4, own.ConfigID
		c.tell("a", "b", Message{Kind: Heartbeat, Round: 1, Promise: time.Second, Header: h})
		return *n
	}
	require.Equal(t, after(Header{}), after(Header{Start: 3, Life: 7, Seq: 1 << 40}))
}
