package member

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// crowd is agents that see each other, as far as trees go.
type crowd struct {
	voters, observers []election.ID
	hides             func(at, of election.ID) bool // of is missing in the view of at
	term              uint64
}

func newCrowd(dice *rand.Rand, voters, observers int) *crowd {
	c := &crowd{term: dice.Uint64N(100), hides: func(election.ID, election.ID) bool { return false }}
	for i := range voters + observers {
		var id election.ID
		for j := range id {
			id[j] = byte(dice.Uint32())
		}
		if i < voters {
			c.voters = append(c.voters, id)
		} else {
			c.observers = append(c.observers, id)
		}
	}
	return c
}

// childrenOf returns whom an agent tells in one tree.
func (c *crowd) childrenOf(id election.ID, tree int) []election.ID {
	voter := -1
	for i, v := range c.voters {
		if v == id {
			voter = i
		}
	}
	var places []place
	for _, o := range c.observers {
		if o == id || !c.hides(id, o) {
			places = append(places, placeOf(o, c.term, tree, len(c.voters)))
		}
	}
	return below(nil, places, id, voter, placeOf(id, c.term, tree, len(c.voters)))
}

// reach returns how many steps it takes from the voters to each observer. Agents for which
// fails is true pass nothing on.
func (c *crowd) reach(fails func(election.ID) bool, in ...int) map[election.ID]int {
	steps := map[election.ID]int{}
	level := c.voters
	for step := 1; len(level) > 0; step++ {
		var next []election.ID
		for _, id := range level {
			if fails(id) {
				continue
			}
			for _, tree := range in {
				for _, child := range c.childrenOf(id, tree) {
					if steps[child] == 0 {
						steps[child] = step
						next = append(next, child)
					}
				}
			}
		}
		level = next
	}
	return steps
}

func nobody(election.ID) bool { return false }

func TestEachTreeReachesAllInFewSteps(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 1))
	for _, tt := range []struct{ voters, observers, most int }{{1, 20, 4}, {3, 9, 3}, {5, 45, 4}, {5, 195, 5}, {7, 1000, 6}} {
		c := newCrowd(dice, tt.voters, tt.observers)
		for tree := range trees {
			steps := c.reach(nobody, tree)
			require.Len(t, steps, tt.observers)
			for _, n := range steps {
				require.LessOrEqual(t, n, tt.most)
			}
			for _, id := range append(c.voters, c.observers...) {
				require.LessOrEqual(t, len(c.childrenOf(id, tree)), fanOut)
			}
		}
	}
}

// Often the last goose has just died, and is a voter still.
func TestNoSingleAgentKeepsTheNewsFromTheOthers(t *testing.T) {
	dice := rand.New(rand.NewPCG(2, 1))
	c := newCrowd(dice, 5, 100)
	for _, dead := range c.voters {
		require.Len(t, c.reach(func(id election.ID) bool { return id == dead }, 0, 1), 100)
	}
	for i, dead := range c.voters {
		for _, too := range c.voters[:i] {
			reached := c.reach(func(id election.ID) bool { return id == dead || id == too }, 0, 1)
			require.GreaterOrEqual(t, len(reached), 95, "who hears by one tree passes on in both, so only some right below both are missed")
		}
	}
	missed := 0
	for _, dead := range c.observers {
		missed += 100 - len(c.reach(func(id election.ID) bool { return id == dead }, 0, 1))
	}
	require.LessOrEqual(t, missed, 10, "of 10000: agents below the same observer in both trees")
}

func TestViewsThatDifferCostFew(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 1))
	c := newCrowd(dice, 5, 300)
	hidden := map[[2]election.ID]bool{}
	for _, at := range append(c.voters, c.observers...) {
		for _, of := range c.observers {
			if dice.IntN(20) == 0 {
				hidden[[2]election.ID{at, of}] = true
			}
		}
	}
	c.hides = func(at, of election.ID) bool { return hidden[[2]election.ID{at, of}] }
	require.GreaterOrEqual(t, len(c.reach(nobody, 0, 1)), 290, "a twentieth of each view is missing")
}

// crowdOf is a flock of five voters and more observers than the goose tells itself.
// The voters contest the named elections.
func crowdOf(t *testing.T, observers int, names ...string) *testFlock {
	f := newTestFlock(t)
	for i := range 5 + observers {
		f.start(func(s *Settings) {
			if s.Observer = i >= 5; !s.Observer {
				s.Elections = names
			}
		})
	}
	f.voters(5)
	for _, name := range names {
		f.until(time.Minute, name+" follows the voters", func() bool { g := f.agreed(name); return g != nil && g.config(name).N == 5 })
	}
	f.run(2 * time.Second)
	if len(names) > 0 {
		f.run(4 * unevenFor) // until they are spread
	}
	return f
}

func (f *testFlock) knowing(goose *testAgent) int { return f.knowingOf("", goose) }

// knowingOf counts the agents that take another, or themselves, for the goose of an election.
func (f *testFlock) knowingOf(name string, goose *testAgent) (n int) {
	for _, a := range f.agents {
		if e := a.Named(name); a.up && e != nil {
			if id, _ := e.Goose(f.now); id == goose.me {
				n++
			}
		}
	}
	return n
}

func TestAGooseTellsACrowdByTrees(t *testing.T) {
	f := crowdOf(t, 45)
	g := f.goose("")
	sent, acks := map[string]int{}, 0
	f.lost = func(from, _ *testAgent, m *wire.Message) bool {
		sent[from.name]++
		if m.Kind == election.HeartbeatAck {
			acks++
		}
		return false
	}
	f.run(10 * time.Second)
	most := 10 * (4*20 + 2*fanOut*7)
	for name, n := range sent {
		require.LessOrEqual(t, n, most, name)
	}
	require.LessOrEqual(t, acks, 10*4*21, "observers acknowledge nothing")
	require.Equal(t, 50, f.knowing(g))

	f.lost = nil
	g.crash()
	var next *testAgent
	f.until(10*time.Second, "another goose", func() bool { next = f.leader(""); return next != nil })
	at := f.now
	f.until(testLease, "all know it", func() bool { return f.knowing(next) == 49 })
	require.LessOrEqual(t, f.now-at, 10*testDelay)
}

func TestACrowdKnowsItsGooseThoughDatagramsAreLost(t *testing.T) {
	for _, tt := range []struct{ loss, ignorant float64 }{{0.2, 0.001}, {0.4, 0.005}} {
		f := crowdOf(t, 45)
		g := f.goose("")
		dice := rand.New(rand.NewPCG(4, 1))
		f.lost = func(_, _ *testAgent, m *wire.Message) bool { return dice.Float64() < tt.loss }
		f.run(10 * testLease) // until all repeat what they pass on
		ignorant, looks := 0, 0
		for range 300 {
			f.run(100 * time.Millisecond)
			ignorant += 50 - f.knowing(g)
			looks += 50
		}
		require.Equal(t, g, f.leader(""))
		require.LessOrEqual(t, float64(ignorant), tt.ignorant*float64(looks), "of %d", looks)
	}
}

// A place in the trees follows from gossip's view, the config and the term.
func TestWhoIsToldFollowsWhatIsKnown(t *testing.T) {
	f := newTestFlock(t)
	for i := range 12 {
		f.start(func(s *Settings) { s.Observer, s.InView = i >= 3, 2 })
	}
	g := f.voters(3)
	f.run(2 * time.Second)
	r, term := &g.relay, g.relay.term
	told := slices.Clone(r.children)
	require.NotEmpty(t, told)
	r.children, r.of = nil, election.ConfigID{}
	g.seat(term)
	require.Equal(t, told, r.children)
	require.True(t, slices.ContainsFunc([]uint64{1, 2, 3, 4}, func(more uint64) bool {
		g.seat(term + more)
		return !slices.Equal(told, r.children)
	}))
	g.seat(term)
	f.named(told[0]).crash()
	f.run(3 * time.Second)
	require.NotContains(t, r.children, told[0])

	rec := g.node().Record()
	for name, tt := range map[string]struct {
		p    Peer
		want bool
	}{
		"an observer":                {Peer{ID: election.ID{99}, State: Alive, Meta: Meta{FlockID: rec.FlockID}}, true},
		"of a flock not known yet":   {Peer{ID: election.ID{99}, State: Alive}, true},
		"of another flock":           {Peer{ID: election.ID{99}, State: Alive, Meta: Meta{FlockID: election.FlockID{7}}}, false},
		"dead":                       {Peer{ID: election.ID{99}, State: Failed, Meta: Meta{FlockID: rec.FlockID}}, false},
		"a voter":                    {Peer{ID: g.other().me, State: Alive, Meta: Meta{FlockID: rec.FlockID}}, false},
		"this agent, if no observer": {Peer{ID: g.me, State: Alive, Meta: Meta{FlockID: rec.FlockID}}, false},
	} {
		require.Equal(t, tt.want, g.isBelow(&tt.p, &rec), name)
	}
}

// Those that are told do not know the goose's heartbeat, which grows with its lease.
func TestNewsArePassedOnWithinEveryLease(t *testing.T) {
	m := flockOf(t, 1).goose("").Member
	for _, lease := range leases {
		for _, many := range beats {
			require.LessOrEqual(t, time.Duration(m.slotRounds(lease))*lease/time.Duration(many), lease*2/3, "%v in %d heartbeats", lease, many)
		}
	}
	require.EqualValues(t, 3, m.slotRounds(testLease), "and not at each heartbeat")
}

// A new config goes along with the first two announcements of each relay, in case one is lost.
func TestANewConfigGoesAlongTwice(t *testing.T) {
	f := newTestFlock(t)
	for i := range 7 {
		f.start(func(s *Settings) { s.Observer, s.InView = i >= 3, 2 })
	}
	f.voters(3)
	f.run(2 * time.Second)
	with, without := map[[2]string]int{}, 0
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		switch {
		case m.Kind != election.Announce:
		case m.Config.N > 0:
			with[[2]string{from.name, to.name}]++
		default:
			without++
		}
		return false
	}
	f.stepDown("", nil)
	f.run(2 * time.Second)
	require.NotEmpty(t, with)
	for way, n := range with {
		require.Equal(t, 2, n, way)
	}
	require.Greater(t, without, len(with))
}

// The goose itself tells agents of a former version, and no others; voters of one are no
// roots of trees.
func TestACrowdIsUpgradedAgentByAgent(t *testing.T) {
	f := crowdOf(t, 45)
	g := f.goose("")
	voters := 0
	for i, a := range f.agents {
		if a != g && (i < 5 && voters < 3 || i >= 5 && i%4 == 0) {
			a.old = true
			a.TellGossip(a.Meta())
		}
		if i < 5 && a.old {
			voters++
		}
	}
	f.run(2 * testLease)
	told, heartbeats := map[*testAgent]bool{}, map[*testAgent]int{}
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		told[to] = told[to] || m.Kind == election.Announce
		if m.Kind == election.Heartbeat {
			heartbeats[to]++
		}
		return false
	}
	for range 20 {
		f.run(testLease)
		require.Equal(t, 50, f.knowing(g))
	}
	for _, a := range f.agents[5:] {
		require.NotEqual(t, a.old, told[a], a.name)
		require.Equal(t, a.old, heartbeats[a] > 0, a.name)
	}
}

// cutRelays cuts off n observers that tell others.
func (f *testFlock) cutRelays(n int) map[*testAgent]bool {
	f.t.Helper()
	cut := map[*testAgent]bool{}
	for _, a := range f.agents[5:] {
		if len(a.relay.children) > 0 && len(cut) < n {
			cut[a] = true
		}
	}
	require.Len(f.t, cut, n)
	f.lost = func(from, to *testAgent, _ *wire.Message) bool { return cut[from] || cut[to] }
	return cut
}

// A relay that is cut off, but not yet dead by gossip, and an agent that no relay knows.
func TestACrowdFindsItsGooseWithoutItsRelays(t *testing.T) {
	f := crowdOf(t, 45)
	g := f.goose("")
	f.cutRelays(3)
	f.run(4 * testLease)
	for range 20 {
		f.run(testLease)
		require.GreaterOrEqual(t, f.knowing(g), 46)
	}
	f.lost = nil
	f.until(20*testLease, "all know it again", func() bool { return f.knowing(g) == 50 })

	late := f.agents[49]
	f.missed = func(_, of *testAgent) bool { return of == late }
	f.gossip()
	f.run(4 * testLease)
	require.Equal(t, 50, f.knowing(g))
}

// Views of the best candidates for voters: the goose keeps few in view, the best.
func TestAGooseKeepsTheBestInView(t *testing.T) {
	f := newTestFlock(t)
	for i := range 25 {
		f.start(func(s *Settings) {
			if i >= 20 {
				s.Priority = 200
			}
		})
	}
	g := f.voters(5)
	f.run(time.Second)
	require.Equal(t, inViewMost, g.node().InViewBesidesVoters())
	isInView := func(a *testAgent) bool {
		rec := g.node().Record()
		return rec.Config.Has(a.me) || g.node().InView(a.me)
	}
	for _, a := range f.agents[20:] {
		require.True(t, isInView(a), a.name)
	}
	better := f.start(func(s *Settings) { s.Priority = 250 })
	f.run(time.Second)
	require.True(t, isInView(better))
	better.crash() // gossip tells in a second
	f.run(2 * time.Second)
	require.Equal(t, inViewMost, g.node().InViewBesidesVoters(), "another has its place")

	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		return from == g && m.Kind == election.Heartbeat && slices.Contains(f.agents[20:25], to)
	}
	f.run(3 * reviewEvery)
	require.Equal(t, inViewMost, g.node().InViewBesidesVoters(), "the best keep their places, though they are silent")
	for _, a := range f.agents[20:25] {
		require.True(t, isInView(a), a.name)
	}
}

// view returns the agents in view that are no voters.
func (a *testAgent) view() (ids []election.ID) {
	rec := a.node().Record()
	for _, c := range a.node().Contacts(nil) {
		if !rec.Config.Has(c.ID) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// Nobody has answered a new goose yet, and later all do: no reason to give places to others.
func TestANewGooseKeepsItsView(t *testing.T) {
	f := newTestFlock(t)
	for range 25 {
		f.start()
	}
	f.voters(5)
	next := f.agents[1]
	f.run(time.Second)
	before := next.view()
	require.Len(t, before, inViewMost)
	require.Equal(t, next, f.stepDown("", next))
	f.run(2 * reviewEvery)
	require.ElementsMatch(t, before, next.view())
}

// One that is ahead of the goose acknowledges nothing, but answers (rule 7).
func TestAnAgentAheadInTermsStaysInView(t *testing.T) {
	f := newTestFlock(t)
	for range 25 {
		f.start()
	}
	g := f.voters(5)
	f.run(time.Second)
	ahead := f.named(g.view()[0])
	ahead.hearHigherTerms()
	f.run(3 * reviewEvery)
	require.Greater(t, ahead.node().Record().Term, g.node().Record().Term)
	require.True(t, g.node().InView(ahead.me))
}

// Who cannot become a voter takes no place. Of a dead voter gossip told while it was one.
func TestWhoCannotVoteLeavesTheView(t *testing.T) {
	f := newTestFlock(t)
	for range 8 {
		f.start()
	}
	f.start(func(s *Settings) { s.Observer = true })
	f.voters(5)
	rec := f.goose("").node().Record()
	dead := f.named(rec.Config.Members()[slices.IndexFunc(rec.Config.Members(), func(v election.Voter) bool { return v.ID != f.goose("").me })].ID)
	dead.crash()
	f.until(time.Minute, "it is replaced", func() bool { c := f.goose("").config(""); return c.N == 5 && !c.Has(dead.me) })
	f.run(time.Second)
	for _, a := range f.agents {
		require.True(t, a == dead || !a.node().InView(dead.me), a.name)
		require.False(t, a.node().InView(f.agents[8].me), a.name)
	}
	g := f.goose("")
	require.Len(t, g.view(), 2)
	dies := f.named(g.view()[0])
	dies.crash()
	f.run(2 * time.Second)
	require.Len(t, g.view(), 1)
	observes := f.named(g.view()[0])
	observes.set.Observer = true
	observes.Reload(observes.set)
	f.run(time.Second)
	require.Empty(t, g.view())
}

// An agent that is alive by gossip, but hears nothing of the goose, must not keep others
// from becoming voters.
func TestThoseThatDoNotAnswerLeaveTheGoosesView(t *testing.T) {
	f := newTestFlock(t)
	mute := func(a *testAgent) bool { return a.me[0] > 3 && a.me[0] <= 3+inViewMost }
	f.lost = func(from, to *testAgent, _ *wire.Message) bool { return mute(from) || mute(to) }
	for range 3 + inViewMost + 2 {
		f.start()
	}
	f.until(time.Minute, "the two others become voters", func() bool {
		g := f.leader("")
		return g != nil && g.config("").N == 5
	})
}
