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
	cut := f.cutRelays(3)
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
	for name, some := range map[string][]*testAgent{"a relay": {f.agents[7]}, "a voter": {g.other()}, "most": append([]*testAgent{f.goose("")}, f.agents[8:]...)} {
		for _, former := range []bool{true, false} {
			for _, a := range some {
				a.former = former
				a.TellGossip(a.Meta())
			}
			f.run(testLease)
			clear(beats)
			for range 10 {
				f.run(testLease)
				require.Equal(t, 25, f.knowingOf("x", g), name)
			}
			for _, a := range f.agents[5:] {
				require.Equal(t, former, beats[a] > 0, "%s: %s", name, a.name)
			}
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
	names := []string{"t", "u", "v", "w", "x", "y", "z"}
	f := smallCrowd(t, 1, names...)
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
	require.Equal(t, newsMost/8, news[7])
}

// smallCrowd is a flock of three voters, which contest the named elections, and of
// observers. The goose tells two observers itself.
func smallCrowd(t *testing.T, observers int, names ...string) *testFlock {
	f := newTestFlock(t)
	for i := range 3 + observers {
		f.start(func(s *Settings) {
			if s.Observer, s.InView = i >= 3, 2; !s.Observer {
				s.Elections = names
			}
		})
	}
	f.voters(3)
	for _, name := range names {
		f.until(time.Minute, name+" follows the voters", func() bool { g := f.agreed(name); return g != nil && g.config(name).N == 3 })
	}
	f.run(testLease)
	return f
}

// feed gives one agent news, by hand.
type feed struct {
	*testAgent
	begins time.Duration
	last   map[uint64]*wire.Message // that this agent got, by election
	told   map[uint64]int           // announcements that it sent, by election
	misses float64                  // the share of rounds
}

// feedOf picks an agent that passes news on. The moments of its feed begin when it may
// pass on again.
func feedOf(f *testFlock, among []*testAgent) *feed {
	d := &feed{last: map[uint64]*wire.Message{}}
	for _, a := range among {
		if d.testAgent == nil && len(a.relay.children) > 0 && f.leader("") != a {
			d.testAgent = a
		}
	}
	require.NotNil(f.t, d.testAgent)
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		switch {
		case to == d.testAgent && (m.Kind == election.Announce || m.Kind == election.Heartbeat && m.Promise > 0):
			got := *m
			got.To, d.last[m.Election] = to.me, &got
		case from == d.testAgent && m.Kind == election.Announce:
			d.told[m.Election]++
		}
		return false
	}
	d.told = map[uint64]int{}
	f.run(testLease)
	d.begins = f.now + testLease/2
	return d
}

// at gives the agent later news of some elections at a moment, and a turn. It returns how
// many agents it tells of the default election and of x.
func (d *feed) at(moment time.Duration, elections ...uint64) [2]int {
	d.f.now = d.begins + moment
	d.frameAt = d.f.now
	clear(d.told)
	for _, number := range elections {
		d.last[number].Round += 3
		require.NoError(d.f.t, d.receiveMessage(d.last[number]))
	}
	d.relay.loss = d.misses
	d.turn()
	return [2]int{d.told[0], d.told[1]}
}

func TestAnObserverPassesOnOneOfWhatBothTreesBring(t *testing.T) {
	f := smallCrowd(t, 12, "x")
	d := feedOf(f, f.agents[3:])
	all := [2]int{0, len(d.relay.children)}
	require.Equal(t, all, d.at(0, 1))
	require.Zero(t, d.at(testHeartbeat, 1), "by the other tree")
	require.Equal(t, all, d.at(3*testHeartbeat-testDelay, 1), "at once, though a little early")

	d.Member.set.Heartbeat = 3 * testLease // the goose has another, and a lease to match
	require.Equal(t, all, d.at(6*testHeartbeat, 1))
	require.Equal(t, all, d.at(9*testHeartbeat, 1))
}

func TestAVoterPassesNewsOnAlongWithTheDefaultElections(t *testing.T) {
	f := smallCrowd(t, 12, "x")
	d := feedOf(f, f.agents[:3])
	n := len(d.relay.children)
	require.Equal(t, [2]int{n, n}, d.at(0, 0, 1))
	require.Zero(t, d.at(151*time.Millisecond, 1), "the default election's are about to come")
	require.Equal(t, [2]int{n, n}, d.at(152*time.Millisecond, 0))
	require.Equal(t, [2]int{n, 0}, d.at(302*time.Millisecond, 0), "there is nothing new of x")
	require.Equal(t, [2]int{0, n}, d.at(345*time.Millisecond, 1), "the default election's do not come")
}

func TestAnAgentThatMissesMuchPassesNewsOnTwice(t *testing.T) {
	f := smallCrowd(t, 12, "x")
	d := feedOf(f, f.agents[3:])
	d.misses = 1
	n := len(d.relay.children)
	require.Equal(t, n, d.at(0, 1)[1])
	require.Zero(t, d.at(70 * time.Millisecond)[1], "one failure of the network could take both")
	require.Equal(t, n, d.at(80 * time.Millisecond)[1])
	require.Zero(t, d.at(140 * time.Millisecond)[1])
	require.Equal(t, n, d.at(150*time.Millisecond, 1)[1], "the second time does not delay what is new")
}

// The news of another goose go by its own trees.
func TestTreesMoveBeforeTheNewsThatMoveThem(t *testing.T) {
	f := smallCrowd(t, 12)
	d := feedOf(f, f.agents[3:])
	d.at(0, 0)
	d.last[0].GooseTerm++
	d.at(10*testDelay, 0)
	require.Equal(t, d.last[0].GooseTerm, d.relay.term)
	require.Equal(t, len(d.relay.children), d.told[0])
}

// Nobody would take them.
func TestNoNewsArePassedOnAfterTheirLease(t *testing.T) {
	f := smallCrowd(t, 12, "x")
	d := feedOf(f, f.agents[3:])
	x := d.Named("x")
	require.Equal(t, len(d.relay.children), d.at(0, 1)[1])
	for i, want := range []int{len(d.relay.children), 0} {
		x.passing = passing{} // as if the trees had moved
		x.touch()
		require.Equal(t, want, d.at(testLease - testLease/10 + time.Duration(i)*testLease/10)[1])
	}
}

// They know of the crowd though they pass on nothing of the default election.
func TestVotersThatRestartPassNewsOnWithoutADefaultGoose(t *testing.T) {
	f := smallCrowd(t, 12, "x")
	f.lost = func(_, _ *testAgent, m *wire.Message) bool { return m.Election == 0 }
	for _, a := range f.agents[:3] {
		a.crash()
		a.begin()
	}
	f.until(10*time.Second, "a goose of x", func() bool { return f.leader("x") != nil })
	f.run(testLease)
	require.True(t, f.leader("") == nil)
	require.Equal(t, 15, f.knowingOf("x", f.leader("x")))
}

// A dead agent of a former version passes nothing on, and keeps no others from it.
func TestDeadAgentsOfAFormerVersionKeepNoGooseTellingAll(t *testing.T) {
	f := smallCrowd(t, 4, "x")
	g := f.goose("x")
	x := g.Named("x")
	require.True(t, x.tellsByTrees())
	for _, a := range []*testAgent{g.other(), f.agents[5]} { // a voter, an observer
		a.former = true
		a.TellGossip(a.Meta())
		f.run(testLease)
		require.False(t, x.tellsByTrees(), a.name)
		a.crash()
		f.run(2 * time.Second) // until gossip has told
		require.EqualValues(t, 3, g.config("").N)
		require.Equal(t, g, f.leader("x"))
		require.True(t, x.tellsByTrees(), a.name)
		a.former = false
		a.begin()
		f.run(testLease)
	}
}
