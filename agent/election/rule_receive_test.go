package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A message of another flock, of no flock, of this agent itself, or of a term beyond all changes nothing.
func TestRule26MessagesOfAnotherFlockAreIgnored(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	for _, tt := range []struct {
		name  string
		spoil func(m *Message)
	}{
		{"another flock", func(m *Message) { m.FlockID = FlockID{9} }},
		{"no flock", func(m *Message) { m.FlockID = FlockID{} }},
		{"itself", func(m *Message) { m.From = idOf("a") }},
		{"no term", func(m *Message) { m.Term = MaxTerm + 1 }},
	} {
		c, n := lone(t, "a", Record{Term: 1, Config: own})
		for _, m := range []Message{
			{Kind: VoteRequest, Header: header(2, own)},
			beat(1, time.Second, 2, own),
			{Kind: Reject, Header: header(7, at(7, 1)), Config: at(7, 1, "x")},
		} {
			m.FlockID, m.From, m.To = testFlock, idOf("b"), idOf("a")
			tt.spoil(&m)
			before := *n
			require.NoError(t, c.step("a", &m))
			require.Equal(t, before, *n, tt.name)
			require.Empty(t, c.nodes["a"].fx.Send, tt.name)
		}
	}
	c, n := lone(t, "a", Record{})
	n.rec.FlockID = FlockID{}
	m := Message{Kind: VoteRequest, Header: Header{From: idOf("b"), Term: 2}}
	require.NoError(t, c.step("a", &m))
	require.Empty(t, c.nodes["a"].fx.Send, "before founding there is nobody to vote for")
}

// A goose of an older generation is no goose: its lease goes with its config.
func TestRule26HigherGenerationDropsTheLease(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	require.NotZero(t, n.Lease())
	recovered := at(0, 1, "a", "b", "c")
	h := Header{Generation: Generation{1, 42}, Term: 1, ConfigID: recovered.ConfigID}
	c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: h, Config: recovered})
	require.Equal(t, Follower, n.role)
	require.Zero(t, n.Lease())
	require.Zero(t, n.leader)
	require.Equal(t, m.disk, n.rec)
	kinds := []EventKind{}
	for _, e := range m.fx.Events {
		kinds = append(kinds, e.Kind)
	}
	require.Equal(t, []EventKind{EventDeposed, EventInstalled}, kinds)
}

// An agent that shows a higher generation, and not its config, is asked for the config.
func TestRule26WhoShowsAHigherGenerationIsAskedForItsConfig(t *testing.T) {
	own := at(1, 1, "a", "b", "c")
	for _, kind := range []Kind{PreVoteRequest, VoteRequest, Heartbeat, HeartbeatAck} {
		c, n := lone(t, "a", Record{Term: 1, Config: own})
		before := *n
		m := Message{Kind: kind, Round: 7, Nonce: 9, Promise: time.Second, Header: header(2, at(0, 1))}
		m.Generation = Generation{1, 42}
		sent := only(t, c.tell("a", "b", m))
		require.Equal(t, PreVoteRequest, sent.Kind)
		require.Zero(t, sent.Nonce, "no vote is asked for")
		require.Zero(t, sent.Generation)
		require.Equal(t, before, *n)
	}
	c, n := lone(t, "a", Record{Term: 1, Config: own})
	before := *n
	shown := Message{Kind: Reject, Header: header(2, at(0, 1))}
	shown.Generation = Generation{1, 42}
	require.Empty(t, c.tell("a", "b", shown), "a Reject without it is not answered")
	require.Equal(t, before, *n)
	c, _ = lone(t, "a", Record{Generation: Generation{2, 1}, Term: 1, Config: own})
	require.Empty(t, c.tell("a", "b", Message{Kind: Reject, Header: header(2, own)}), "a Reject of a lower one is not answered")
	require.Equal(t, Reject, only(t, c.tell("a", "b", Message{Kind: HeartbeatAck, Header: header(2, own)})).Kind)
}

// A config is taken as the one that its message shows, whole and newer, or not at all.
func TestRule06ConfigIsTakenOnlyIfItIsTheOneShownAndNewer(t *testing.T) {
	own := at(2, 2, "a", "b", "c")
	for _, tt := range []struct {
		name string
		id   ConfigID
		c    Config
		want bool
	}{
		{"newer", ConfigID{2, 3}, at(2, 3, "a", "b"), true},
		{"another than it shows", ConfigID{2, 4}, at(2, 3, "a", "b"), false},
		{"the same number", ConfigID{2, 2}, at(2, 2, "a", "b"), false},
		{"older", ConfigID{2, 1}, at(2, 1, "a", "b"), false},
		{"none", ConfigID{2, 3}, Config{}, false},
	} {
		c, n := lone(t, "a", Record{Term: 2, Config: own})
		h := Header{Term: 2, ConfigID: tt.id}
		c.tell("a", "x", Message{Kind: Reject, Header: h, Config: tt.c})
		require.Equal(t, tt.want, n.rec.Config != own, tt.name)
	}
	c, n := lone(t, "a", Record{Term: 2, Config: own})
	h := Header{Generation: Generation{1, 42}, Term: 2, ConfigID: ConfigID{2, 4}}
	c.tell("a", "x", Message{Kind: Reject, Header: h, Config: at(2, 3, "a", "b")})
	require.Equal(t, own, n.rec.Config, "another than it shows, of a newer generation")
}

// Ranks speak of one config: with another one its own order holds, and its voters are in view.
func TestRule24NewConfigEndsTheRanks(t *testing.T) {
	own := at(2, 2, "a", "b", "c")
	for _, gen := range []uint64{0, 1} {
		c, n := lone(t, "a", Record{Term: 2, Config: own})
		m := beat(1, 0, 2, own)
		m.Ranks = [MaxVoters]uint8{1, 2, 0}
		c.tell("a", "b", m)
		require.Equal(t, 1, n.ownRank())
		newer := at(2, 3, "0", "1", "a", "b", "c")
		show := Message{Kind: Reject, Header: header(2, newer), Config: newer}
		show.Generation = Generation{Number: gen, Tag: gen}
		c.tell("a", "b", show)
		require.Equal(t, newer, n.rec.Config)
		require.Equal(t, 2, n.ownRank())
		require.GreaterOrEqual(t, n.electAt, c.now+2*n.rankStep())
		require.NotNil(t, n.peerOf(idOf("1")))
	}
}

// A leader that is deposed says so, a leader that gave up does not: its
// hand-over has come to its end.
func TestRule03DeposedLeaderReportsItOnce(t *testing.T) {
	for _, gaveUp := range []bool{false, true} {
		c, m := newLeader(t)
		quiet(c)
		if gaveUp {
			require.NoError(t, c.step(m.name, StepDown{}))
		}
		c.tell(m.name, otherThan(m.name), Message{Kind: Reject, Header: header(m.node.rec.Term+1, m.node.rec.Config)})
		require.Equal(t, Follower, m.node.role)
		deposed := 0
		for _, e := range m.fx.Events {
			if e.Kind == EventDeposed {
				deposed++
			}
		}
		require.Equal(t, gaveUp, deposed == 0)
		require.Greater(t, m.node.electAt, c.now-1)
	}
}

// Whoever asks with an older config is answered with the newer one, whatever the answer says.
func TestRule27AnswersCarryTheConfigThatTheAskerLacks(t *testing.T) {
	own := at(4, 2, "a", "b", "c")
	for _, m := range []Message{
		{Kind: PreVoteRequest, NextTerm: 6, Nonce: 1, Header: header(5, at(4, 1))},
		{Kind: VoteRequest, Header: header(6, at(4, 1))},
		{Kind: VoteRequest, Header: header(3, at(3, 1))},
		beat(1, time.Second, 3, at(3, 1)),
	} {
		c, _ := lone(t, "a", Record{Term: 5, Config: own})
		require.Equal(t, own, only(t, c.tell("a", "b", m)).Config, "%v", m.Kind)
		m.ConfigID = own.ConfigID
		c.now += rejectEvery
		require.Zero(t, only(t, c.tell("a", "b", m)).Config, "%v, one that has it", m.Kind)
	}
}
