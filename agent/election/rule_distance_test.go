package election

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// profiles are a heartbeat and a lease: local, lan, wan.
var profiles = [][2]time.Duration{
	{10 * time.Millisecond, 100 * time.Millisecond},
	{50 * time.Millisecond, 500 * time.Millisecond},
	{150 * time.Millisecond, 1500 * time.Millisecond},
}

var flocks = [][]string{{"a", "b", "c"}, {"a", "b", "c", "d", "e"}}

// newFarCluster has agents of one profile, founded together, whose packets take as long as delay says.
func newFarCluster(t testing.TB, timing [2]time.Duration, delay func(from, to string) time.Duration, names ...string) *cluster {
	c := newCluster(t)
	c.timing, c.delay = timing, delay
	for _, name := range names {
		c.add(name, Record{FlockID: testFlock, Config: configOf(names...), PromiseMax: timing[1]}, true)
	}
	return c
}

// due is P4's bound where no round trip is longer than rtt.
func (c *cluster) due(rtt time.Duration) time.Duration {
	step := max(rankFloor, rtt*5/2)
	return 2*c.timing[1] + step*time.Duration(len(c.order)) + 5*rtt + c.timing[0]
}

// endure has the flock found itself, lose its power, and lose its goose twice,
// and demands a goose in P4's time after each, which then stays.
func (c *cluster) endure(rtt time.Duration) {
	c.t.Helper()
	lease := c.timing[1]
	stays := func(what string, within time.Duration) {
		c.t.Helper()
		from := c.now
		c.until(within, "a goose "+what, func() bool { return c.goose() != "" })
		c.t.Logf("goose %s after %v of %v, term %d", what, c.now-from, within, c.nodes[c.goose()].node.rec.Term)
		c.run(4 * lease)
		term := c.nodes[c.order[0]].node.rec.Term
		c.run(10 * lease)
		require.NotEmpty(c.t, c.goose(), "it does not stay")
		require.Equal(c.t, term, c.nodes[c.order[0]].node.rec.Term, "it does not stay")
	}
	stays("at the founding", c.due(rtt))
	for _, name := range c.order {
		c.kill(name)
	}
	c.run(time.Second)
	for _, name := range c.order {
		c.restart(name)
	}
	stays("after a power cut", c.due(rtt)+stretch(lease))
	for range 2 {
		g := c.goose()
		c.kill(g)
		c.run(lease) // until its lease has run out
		stays("after "+g+" died", c.due(rtt)-lease)
		c.restart(g)
		c.run(4 * lease)
	}
	g := c.goose()
	at := c.now
	require.NoError(c.t, c.step(g, StepDown{}))
	c.until(c.due(rtt), "another goose", func() bool { return c.goose() != "" && c.goose() != g })
	require.LessOrEqual(c.t, c.now-at, rtt*5/2+c.timing[0], "a hand-over takes two and a half round trips")
	for _, e := range c.nodes[g].log {
		require.NotEqual(c.t, EventResigned, e.Kind, "the successor took over in time")
	}
}

func TestRule21EveryRoundTripThatTheLeaseBears(t *testing.T) {
	for _, timing := range profiles {
		for _, names := range flocks {
			for _, parts := range []time.Duration{1000, 50, 16, 10, 7, 5, 4} {
				rtt := timing[1] / parts
				t.Run(fmt.Sprintf("%d at %v of %v", len(names), rtt, timing[1]), func(t *testing.T) {
					newFarCluster(t, timing, func(string, string) time.Duration { return rtt / 2 }, names...).endure(rtt)
				})
			}
		}
	}
}

func TestRule21EveryPathHasItsOwnRoundTrip(t *testing.T) {
	dice := chance(21)
	for k := range 60 {
		timing, names := profiles[k%3], flocks[k/3%2]
		delays := map[string]time.Duration{}
		for _, from := range names {
			for _, to := range names {
				delays[from+to] = 1 + dice.upTo(timing[1]/8)
				if dice.next()%2 == 0 {
					delays[from+to] = timing[1]/1000 + dice.upTo(timing[1]/1000)
				}
			}
		}
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			newFarCluster(t, timing, func(from, to string) time.Duration { return delays[from+to] }, names...).endure(timing[1] / 4)
		})
	}
}

// asker is a in a flock of three, in its first round of PreVote; it asked at c.now.
func asker(t *testing.T) (*cluster, *Node) {
	c, n := lone(t, "a", Record{Config: at(0, 1, "a", "b", "c")})
	n.campaign(c.now, &c.nodes["a"].fx)
	require.Equal(t, PreCandidate, n.role)
	return c, n
}

func TestRule21EstimateOfOnePathNeverCutsAnothersAnswerShort(t *testing.T) {
	c, n := asker(t)
	asked := c.now
	c.run(time.Millisecond)
	c.tell("a", "b", Message{
		Kind: PreVoteReply, Nonce: n.nonce, Reason: Promised, Remaining: 10 * time.Second, Header: header(0, n.rec.Config),
	})
	require.Equal(t, time.Millisecond, n.peerOf(idOf("b")).rtt)
	c.run(asked + n.set.Lease/2 - time.Millisecond - c.now)
	require.Equal(t, PreCandidate, n.role, "c has half a lease to answer")
	c.tell("a", "c", Message{Kind: PreVoteReply, Nonce: n.nonce, Granted: true, Header: header(0, n.rec.Config)})
	require.Equal(t, Candidate, n.role)
	require.Equal(t, n.set.Lease/2-time.Millisecond, n.peerOf(idOf("c")).rtt)
}

func TestRule21PausesGrowOnAPathThatNobodyHasMeasured(t *testing.T) {
	c, _ := asker(t)
	var asked []time.Duration
	from := c.now
	c.drop = func(m *Message) bool {
		if m.To == idOf("b") && m.Nonce != 0 {
			asked = append(asked, (c.now - from).Round(time.Millisecond))
		}
		return true
	}
	c.run(240 * time.Millisecond)
	require.Equal(t, []time.Duration{10e6, 30e6, 70e6, 133e6, 195e6}, asked, "up to an eighth of a lease")
}

func TestRule21AnswersThatComeTooLateStillMeasureTheirPath(t *testing.T) {
	c, n := asker(t)
	first := n.nonce
	p := n.peerOf(idOf("b"))
	c.until(2*time.Second, "another round", func() bool { return n.nonceAt > time.Hour && n.role == PreCandidate })
	late := Message{Kind: PreVoteReply, Nonce: first, Granted: true, Header: header(0, n.rec.Config)}
	c.tell("a", "b", late)
	require.Equal(t, PreCandidate, n.role, "it grants nothing")
	require.Equal(t, c.now-time.Hour, p.rtt)
	c.run(time.Millisecond)
	c.tell("a", "b", late)
	require.Equal(t, c.now-time.Millisecond-time.Hour, p.rtt, "a copy measures nothing")
	late.Nonce = first + 1<<50
	c.tell("a", "b", late)
	require.Equal(t, PreCandidate, n.role, "nobody asked that")
}

func TestRule21PathBeyondWhatTheLeaseBearsIsTold(t *testing.T) {
	c := newFarCluster(t, profiles[1], func(from, to string) time.Duration {
		if from == "c" || to == "c" {
			return time.Second
		}
		return time.Millisecond
	}, "a", "b", "c")
	c.awaitGoose(time.Second)
	c.run(3 * time.Second)
	n := &c.nodes[c.goose()].node
	far := map[string]bool{}
	for _, contact := range n.Contacts(nil) {
		far[nameOf(contact.ID)] = n.TooFar(&contact)
	}
	require.True(t, far["c"])
	require.Len(t, far, 2)
	require.False(t, far[otherThan(c.goose())])
}

// The acks of slow paths come after the worth of such a lease, 480 ms, and before
// its end: 490 ms after a round, when the tenth round after it leaves.
var lateAcks = [2]time.Duration{49 * time.Millisecond, 500 * time.Millisecond}

// slow makes every path to and from a that long.
func slow(from, to string) time.Duration {
	if from == "a" || to == "a" {
		return 242 * time.Millisecond
	}
	return time.Millisecond
}

func TestRule20PromisesThatComeTooLateForALeaseAreNotHeld(t *testing.T) {
	c := newFarCluster(t, lateAcks, nil, "a", "b", "c")
	require.Equal(t, "a", c.awaitGoose(time.Second))
	c.run(time.Second)
	at := c.now
	c.delay = slow
	c.until(c.due(484*time.Millisecond), "another goose", func() bool { g := c.goose(); return g != "" && g != "a" })
	require.Less(t, c.now-at, 1300*time.Millisecond, "a lease until it asks nothing, the way there, and a lease promised before")
	g := c.goose()
	c.run(time.Minute)
	require.Equal(t, g, c.goose())
}

func TestRule20PromisesResumeInTheSameTermOnceAnAckIsYoung(t *testing.T) {
	c := newFarCluster(t, lateAcks, nil, "a", "b", "c")
	require.Equal(t, "a", c.awaitGoose(time.Second))
	c.run(time.Second)
	c.delay = slow
	c.until(2*time.Second, "no promise asked", func() bool {
		n := &c.nodes["a"].node
		return n.rounds[n.round%maxRounds].asked == 0
	})
	c.run(50 * time.Millisecond)
	require.Empty(t, c.goose())
	c.delay = nil
	c.until(300*time.Millisecond, "a as goose", func() bool { return c.goose() == "a" })
	c.run(time.Second)
	require.Equal(t, "a", c.goose())
	require.Equal(t, uint64(1), c.nodes["a"].node.rec.Term)
}
