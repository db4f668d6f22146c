package member

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// oldest returns the age of the oldest heartbeat by which an agent knows the goose of an
// election.
func (f *testFlock) oldest(name string) (most time.Duration) {
	for _, a := range f.agents {
		e := a.Named(name)
		if goose, self := e.Goose(f.now); a.up && !self && !goose.IsZero() {
			_, _, at := e.node.Heard()
			most = max(most, f.now-at)
		}
	}
	return most
}

// bystander returns the goose of an election that is not the goose of another.
func (f *testFlock) bystander(of, other string) *testAgent {
	g, not := f.goose(of), f.goose(other)
	if g == not {
		for _, a := range f.agents[:5] {
			if a != g {
				return f.stepDown(of, a)
			}
		}
	}
	return g
}

func TestRule30TreesCarryTheNewsOfAllElections(t *testing.T) {
	names := []string{"x", "y", "z"}
	f := crowdOf(t, 45, names...)
	type way struct{ from, to *testAgent }
	went := map[way]time.Duration{} // when news of the default election did
	along, alone, beats := 0, 0, 0
	sent := map[string]int{}
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		rec := from.node().Record()
		switch {
		case m.Election == 0 && m.Kind == election.Announce:
			went[way{from, to}] = f.now
			sent[from.name]++
		case m.Election == 0:
		case m.Kind == election.Announce && went[way{from, to}] == f.now:
			along++
		case m.Kind == election.Announce:
			alone++
		case m.Kind == election.Heartbeat && !rec.Config.Has(to.me):
			beats++
		}
		return false
	}
	for range 400 {
		f.run(testHeartbeat / 2)
		for _, name := range names {
			require.Equal(t, 50, f.knowingOf(name, f.leader(name)), name)
			require.LessOrEqual(t, f.oldest(name), testLease/2, name)
		}
	}
	require.Zero(t, beats, "the goose tells the voters alone")
	require.Greater(t, along, 1000)
	require.LessOrEqual(t, alone, along/20, "they share datagrams")
	for name, n := range sent {
		require.LessOrEqual(t, n, 10*2*fanOut*7, name)
	}

	f.lost = nil
	was := f.bystander("x", "")
	for _, end := range []func(){func() { was.stepDown("x", nil, false) }, func() { was.crash() }} {
		f.run(2*testLease + testHeartbeat/2)
		was = f.bystander("x", "")
		end()
		var next *testAgent
		f.until(10*time.Second, "another goose of x", func() bool { next = f.leader("x"); return next != nil && next != was })
		at, up := f.now, 0
		for _, a := range f.agents {
			if a.up {
				up++
			}
		}
		f.until(testLease, "all know it", func() bool { return f.knowingOf("x", next) == up })
		require.LessOrEqual(t, f.now-at, 10*testDelay)
	}
}

// Without a goose of the default election, nothing goes along with its news.
func TestRule30NewsOfAnElectionNeedNoDefaultGoose(t *testing.T) {
	f := crowdOf(t, 45, "x", "y")
	x, y := f.goose("x"), f.goose("y")
	sent := map[string]int{}
	f.lost = func(from, _ *testAgent, m *wire.Message) bool {
		if m.Kind == election.Announce {
			sent[from.name+fmt.Sprint(m.Election)]++
		}
		return m.Election == 0
	}
	for range 400 {
		f.run(testHeartbeat / 2)
		require.Equal(t, []int{50, 50}, []int{f.knowingOf("x", x), f.knowingOf("y", y)})
		require.LessOrEqual(t, max(f.oldest("x"), f.oldest("y")), testLease*3/4)
	}
	require.True(t, f.leader("") == nil)
	for from, n := range sent {
		require.LessOrEqual(t, n, 10*2*fanOut*9, from)
	}
}

func TestACrowdKnowsAllGeeseThoughDatagramsAreLost(t *testing.T) {
	for _, tt := range []struct{ loss, ignorant float64 }{{0.2, 0.001}, {0.4, 0.005}} {
		f := crowdOf(t, 45, "x", "y")
		x := f.goose("x")
		dice := rand.New(rand.NewPCG(4, 1))
		f.lost = func(_, _ *testAgent, m *wire.Message) bool { return dice.Float64() < tt.loss }
		f.run(10 * testLease) // until all repeat what they pass on
		ignorant, looks := 0, 0
		for range 300 {
			f.run(100 * time.Millisecond)
			if x != f.leader("x") {
				x = f.goose("x") // such loss may end a lease
			}
			ignorant += 50 - f.knowingOf("x", x)
			looks += 50
		}
		require.LessOrEqual(t, float64(ignorant), tt.ignorant*float64(looks), "of %d", looks)
	}
}

func TestACrowdKnowsAllGeeseWithoutSomeRelays(t *testing.T) {
	f := crowdOf(t, 45, "x")
	g := f.goose("x")
	cut := map[*testAgent]bool{}
	for _, a := range f.agents[5:] {
		if len(a.relay.children) > 0 && len(cut) < 3 {
			cut[a] = true
		}
	}
	require.Len(t, cut, 3)
	f.lost = func(from, to *testAgent, _ *wire.Message) bool { return cut[from] || cut[to] }
	f.run(4 * testLease)
	for range 20 {
		f.run(testLease)
		require.GreaterOrEqual(t, f.knowingOf("x", g), 46)
	}
	for a := range cut {
		a.crash()
	}
	f.run(2 * time.Second) // until gossip has told
	for range 20 {
		f.run(testLease)
		require.Equal(t, 47, f.knowingOf("x", g))
	}
}

// While one agent of a former version is there, each goose tells all agents itself.
func TestACrowdWithElectionsIsUpgradedAgentByAgent(t *testing.T) {
	f := crowdOf(t, 20, "x")
	g := f.bystander("x", "")
	beats := map[*testAgent]int{}
	f.lost = func(_, to *testAgent, m *wire.Message) bool {
		if m.Election != 0 && m.Kind == election.Heartbeat {
			beats[to]++
		}
		return false
	}
	for name, former := range map[string][]*testAgent{"a relay": {f.agents[7]}, "a voter": {g.other()}, "most": append([]*testAgent{f.goose("")}, f.agents[8:]...)} {
		for _, a := range former {
			a.former = true
			a.TellGossip(a.Meta())
		}
		f.run(testLease)
		clear(beats)
		for range 10 {
			f.run(testLease)
			require.Equal(t, 25, f.knowingOf("x", g), name)
		}
		for _, a := range f.agents[5:] {
			require.Positive(t, beats[a], "%s: %s", name, a.name)
		}
		for _, a := range former {
			a.former = false
			a.TellGossip(a.Meta())
		}
		f.run(testLease)
		clear(beats)
		for range 10 {
			f.run(testLease)
			require.Equal(t, 25, f.knowingOf("x", g), name)
		}
		for _, a := range f.agents[5:] {
			require.Zero(t, beats[a], "%s: %s", name, a.name)
		}
	}
}

// A newcomer, to which nobody passes news on yet, asks for them. The answer tells all geese,
// and further questions bring the configs.
func TestANewcomerOfACrowdLearnsOfAllElections(t *testing.T) {
	f := crowdOf(t, 15, "x", "y")
	late := f.start(func(s *Settings) { s.Observer = true })
	askedAt := map[*testAgent]time.Duration{}
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		if from == late {
			askedAt[to] = f.now
		}
		return to == late && f.now-askedAt[from] > 5*testDelay
	}
	f.until(2*time.Second, "it knows all geese", func() bool {
		for _, name := range []string{"", "x", "y"} {
			e := late.Named(name)
			if e == nil || e.node == nil || late.config(name).N != 5 {
				return false
			}
			if goose, _ := e.Goose(f.now); goose != f.leader(name).me {
				return false
			}
		}
		return true
	})
	for range 100 {
		f.run(testLease / 10)
		require.Equal(t, 21, f.knowingOf("x", f.leader("x")), "though nobody passes anything on to it")
	}
}

// Voters believe the goose alone, in each election.
func TestRule30VotersOfAnElectionIgnoreAnnouncements(t *testing.T) {
	f := flockOf(t, 3, "x")
	g := f.goose("x")
	v := g.other()
	before, rec := v.Named("x").node.News(), v.Named("x").node.Record()
	msg := wire.Message{Election: 1, Message: election.Message{
		Kind: election.Announce, Goose: v.other().me, GooseTerm: rec.Term + 5, Round: 1000, Promise: testLease,
		Header: election.Header{FlockID: rec.FlockID, Generation: rec.Generation, From: g.me, To: v.me, Term: rec.Term + 5, ConfigID: rec.Config.ConfigID},
	}}
	require.NoError(t, v.receiveMessage(&msg))
	require.Equal(t, before, v.Named("x").node.News())
	require.Equal(t, rec, v.Named("x").node.Record())

	msg.Election = 2 // one that it does not have
	require.NoError(t, v.receiveMessage(&msg))
	require.Equal(t, 1, v.counts["dropped_election"])
}

// The trees begin at the default election's voters. Those that are no voters of another
// election yet, and find no place in its goose's view, are told by the goose.
func TestVotersHearOfEachElectionTheyAreNotYetVotersOf(t *testing.T) {
	f := newTestFlock(t)
	few := func(s *Settings) { s.InView, s.Voters = 2, 7 }
	f.start(contesting("x"), few)
	g := f.goose("x")
	for range 12 {
		f.start(few)
	}
	f.lost = func(_, _ *testAgent, m *wire.Message) bool { return m.Election == 1 && m.Kind == election.HeartbeatAck }
	f.voters(7)
	f.run(testLease)
	require.EqualValues(t, 1, g.config("x").N)
	for range 20 {
		f.run(testLease / 2)
		require.Equal(t, 13, f.knowingOf("x", g))
	}
}

// A new goose of the default election moves the trees. What was on its way in the former
// ones goes out again.
func TestNoNewsAreLostWhenTheTreesMove(t *testing.T) {
	f := crowdOf(t, 45, "x")
	for range 6 {
		g := f.goose("")
		if f.goose("x") != g {
			f.stepDown("x", g)
		}
		f.run(2 * testLease)
		g = f.goose("x")
		g.crash()
		for _, name := range []string{"", "x"} {
			f.until(10*time.Second, "another goose", func() bool { return f.leader(name) != nil })
		}
		f.run(10 * testDelay)
		for _, name := range []string{"", "x"} {
			require.Equal(t, 49, f.knowingOf(name, f.leader(name)), name)
		}
		g.begin()
		f.run(4 * testLease)
	}
}

// Voters that heard the default election's goose resign have no news of it, and the trees
// below them stay.
func TestTreesStayWhileTheDefaultElectionHasNoGoose(t *testing.T) {
	f := crowdOf(t, 45, "x")
	x := f.bystander("x", "")
	g := f.goose("")
	term := g.relay.term
	require.Positive(t, term)
	f.lost = func(_, _ *testAgent, m *wire.Message) bool { return m.Election == 0 && m.Kind != election.Resign }
	rec := g.node().Record()
	for _, a := range f.agents[:5] {
		if a != g {
			require.NoError(t, a.receiveMessage(&wire.Message{Message: election.Message{Kind: election.Resign, Header: election.Header{
				FlockID: rec.FlockID, Generation: rec.Generation, From: g.me, To: a.me, ToLife: a.set.Life, Term: rec.Term, ConfigID: rec.Config.ConfigID,
			}}}))
			require.True(t, a.node().News().Goose.IsZero())
		}
	}
	g.crash()
	g.begin() // it has heard of no goose in this life
	f.run(2 * testLease)
	for range 40 {
		f.run(testHeartbeat)
		require.Equal(t, 50, f.knowingOf("x", x))
		for _, a := range f.agents {
			require.Equal(t, term, a.relay.term, a.name)
		}
	}
}

// What a turn's save takes counts as time for which the news were with this agent.
func TestAnswersSayHowOldTheNewsAreOnceTheDiskIsDone(t *testing.T) {
	f := crowdOf(t, 12, "x")
	v, late := f.goose("").other(), f.agents[len(f.agents)-1]
	rec := late.node().Record()
	held := []time.Duration{}
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		if from == v && to == late && m.Kind == election.Announce {
			held = append(held, m.Held)
		}
		return false
	}
	v.frameAt = f.now
	require.NoError(t, v.receiveMessage(&wire.Message{Message: election.Message{
		Kind: election.PreVoteRequest, NextTerm: rec.Term + 1, Header: late.Default().header(v.me),
	}}))
	v.Default().dirty, v.slow = true, testLease
	_, err := v.Turn(f.now)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(held), 2)
	for _, h := range held {
		require.GreaterOrEqual(t, h, testLease)
	}
}

// Many that ask at once do not make a voter tell each of them of very many elections.
func TestAFloodOfQuestionsGetsFewNews(t *testing.T) {
	names := []string{}
	for i := range 5 {
		names = append(names, fmt.Sprintf("x%d", i))
	}
	f := crowdOf(t, 12, names...)
	v, late := f.goose("").other(), f.agents[len(f.agents)-1]
	rec := late.node().Record()
	news := map[uint64]int{}
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		if from == v && to == late && m.Kind == election.Announce {
			news[m.Election]++
		}
		return false
	}
	for range 200 {
		v.frameAt = f.now
		require.NoError(t, v.receiveMessage(&wire.Message{Message: election.Message{
			Kind: election.PreVoteRequest, NextTerm: rec.Term + 1, Header: late.Default().header(v.me),
		}}))
	}
	v.sendQueued(f.now)
	require.Equal(t, toldMost, news[0])
	require.Equal(t, newsMost/6, news[5])
}
