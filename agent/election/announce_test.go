package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told is an announcement of a goose.
func told(goose string, term, round uint64, held time.Duration, c Config) Message {
	return Message{
		Kind: Announce, Goose: idOf(goose), GooseTerm: term, Round: round, Promise: 500 * time.Millisecond, Held: held,
		Header: header(term, c),
	}
}

func TestRule30ObserverShowsTheGooseThatOthersTellOf(t *testing.T) {
	own, newer := at(3, 1, "a", "b", "c"), at(4, 1, "a", "b", "c")
	c, n := lone(t, "x", Record{Term: 3, Config: own})
	asksNothing := told("a", 3, 8, 0, own)
	asksNothing.Promise = 0
	nobody := told("a", 4, 1, 0, newer)
	nobody.Goose = ID{}
	require.Empty(t, c.tell("x", "y", told("a", 3, 7, 20*time.Millisecond, own)))
	id, term, heardAt := n.Heard()
	require.Equal(t, []any{idOf("a"), uint64(3), c.now - 20*time.Millisecond}, []any{id, term, heardAt})
	m := n.Announcement(c.now+time.Millisecond, false)
	require.Equal(t, []any{idOf("a"), uint64(7), 21 * time.Millisecond, uint8(0)}, []any{m.Goose, m.Round, m.Held, m.Config.N})
	require.Equal(t, own, func() Config { m := n.Announcement(c.now, true); return m.Config }())

	for name, m := range map[string]Message{
		"an earlier round":       told("a", 3, 6, 0, own),
		"the same round":         told("a", 3, 7, 0, own),
		"a lower term":           told("b", 2, 9, 0, own),
		"another goose":          told("b", 3, 9, 0, own),
		"no voter":               told("z", 4, 1, 0, own),
		"itself":                 told("x", 4, 1, 0, newer),
		"nobody":                 nobody,
		"one that asks nothing":  asksNothing,
		"too old":                told("a", 3, 8, 500*time.Millisecond, own),
		"of an older config":     told("b", 4, 1, 0, at(2, 9, "a", "b", "c")),
		"a term that is too far": told("a", MaxTerm, 8, 0, own),
	} {
		was := n.News()
		c.tell("x", "y", m)
		require.Equal(t, was, n.News(), name)
	}
	c.tell("x", "z", told("b", 4, 1, 0, own))
	id, term, heardAt = n.Heard()
	require.Equal(t, []any{idOf("b"), uint64(4), c.now}, []any{id, term, heardAt}, "a later term")
	c.now += 500 * time.Millisecond
	c.tell("x", "y", told("a", 3, 8, 0, own))
	id, _, _ = n.Heard()
	require.Equal(t, idOf("a"), id, "nothing was heard for a lease: a forged term hides the goose no longer")
	long := told("a", 3, 9, 0, own)
	long.Promise = time.Hour
	c.tell("x", "y", long)
	require.Equal(t, MaxPromise, n.HeardLease(), "no voter promises more")
}

// Each generation counts its terms from the start, so a lower term of a newer generation is news.
func TestRule30NewsEndWithTheirGeneration(t *testing.T) {
	c, n := lone(t, "x", Record{Term: 3, Config: at(3, 1, "a", "b", "c")})
	c.tell("x", "y", told("a", 3, 7, 0, n.rec.Config))
	recovered := at(0, 1, "a", "b")
	m := told("b", 1, 1, 0, recovered)
	m.Generation, m.Config = Generation{Number: 1, Tag: 42}, recovered
	c.tell("x", "y", m)
	id, term, _ := n.Heard()
	require.Equal(t, []any{idOf("b"), uint64(1)}, []any{id, term})
}

// News that are older than what the goose said itself count for nothing, though their lease
// may be longer: the lead of before was handed over.
func TestRule30OlderNewsHideNoGooseThatWasHeard(t *testing.T) {
	c, n := lone(t, "x", Record{Term: 3, Config: at(3, 1, "a", "b", "c")})
	c.tell("x", "b", Message{Kind: Heartbeat, Round: 1, Promise: 100 * time.Millisecond, Header: header(3, n.rec.Config)})
	heard := c.now
	c.now += 101 * time.Millisecond
	c.tell("x", "y", told("a", 2, 7, 400*time.Millisecond, n.rec.Config))
	id, term, heardAt := n.Heard()
	require.Equal(t, []any{idOf("b"), uint64(3), heard}, []any{id, term, heardAt})
	require.Equal(t, 100*time.Millisecond, n.HeardLease())
}

// Ages are in the order of a config's voters.
func TestRule30AgesOfAnotherConfigAreNotTaken(t *testing.T) {
	c, n := lone(t, "x", Record{Term: 3, Config: at(3, 1, "a", "b", "c")})
	c.tell("x", "y", told("a", 4, 1, 0, at(4, 1, "b", "c", "d")))
	require.Equal(t, idOf("a"), n.News().Goose)
	require.False(t, n.HeardOfVoters(c.now))
	c.tell("x", "y", told("a", 4, 2, 0, n.rec.Config))
	require.True(t, n.HeardOfVoters(c.now))
}

// The sender of an announcement is not the goose.
func TestRule30AnnouncementsChangeNoTermVoteOrPromise(t *testing.T) {
	own := at(3, 1, "a", "b", "c")
	for _, name := range []string{"a", "x"} {
		for _, from := range []string{"b", "y"} {
			c, n := lone(t, name, Record{Term: 3, Config: own})
			was := n.rec
			c.tell(name, from, told("b", 9, 1, 0, own))
			require.Equal(t, was, n.rec)
			require.Zero(t, n.promise)
			require.Zero(t, n.heardAt)
			require.Equal(t, name == "x", n.News() != News{}, "voters believe the goose alone")
		}
	}
	c, m := newLeader(t)
	was := m.node
	c.tell(m.name, otherThan(m.name), told(otherThan(m.name), was.rec.Term+1, 1, 0, was.rec.Config))
	require.Equal(t, was, m.node, "a leader")
}

func TestRule30NewerConfigIsAskedFor(t *testing.T) {
	old, newer := at(3, 1, "a", "b", "x"), at(4, 1, "a", "b", "c")
	for _, name := range []string{"x", "y"} { // a voter of the old config, an observer
		c, n := lone(t, name, Record{Term: 3, Config: old})
		asked := only(t, c.tell(name, "z", told("c", 4, 1, 0, newer)))
		require.Equal(t, []any{PreVoteRequest, idOf("z"), uint64(0)}, []any{asked.Kind, asked.To, asked.Nonce})
		require.Empty(t, c.tell(name, "z", told("c", 4, 2, 0, newer)), "once a heartbeat")
		m := told("c", 4, 3, 0, newer)
		m.Config = newer
		c.tell(name, "z", m)
		require.Equal(t, newer, n.rec.Config)
		id, _, _ := n.Heard()
		require.Equal(t, idOf("c"), id)
	}
}

// What a leader or a voter tells is what the goose has just asked for.
func TestRule30NewsAreRoundsThatAskForPromises(t *testing.T) {
	c, m := newLeader(t)
	n := &m.node
	require.Equal(t, []any{n.set.ID, n.rec.Term, n.round}, []any{n.News().Goose, n.News().Term, n.News().Round})
	follower := &c.nodes[otherThan(m.name)].node
	require.Equal(t, n.set.ID, follower.News().Goose)
	round := follower.News().Round
	beat := Message{Kind: Heartbeat, Round: round + 9, Header: header(n.rec.Term, n.rec.Config)}
	c.tell(otherThan(m.name), m.name, beat)
	require.Equal(t, round, follower.News().Round, "it asks for nothing")
	c.tell(otherThan(m.name), m.name, Message{Kind: Resign, Header: header(n.rec.Term, n.rec.Config)})
	require.Zero(t, follower.News(), "it has resigned")
}
