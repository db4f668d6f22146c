package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// follows waits until an election has the default one's voters.
func (f *testFlock) follows(name string) *testAgent {
	f.t.Helper()
	var x *testAgent
	f.until(time.Minute, name+" follows", func() bool {
		x = f.goose(name)
		own, target := x.config(name), x.config("")
		return sameVoters(&own, &target) && x.Named(name).node.Committed()
	})
	return x
}

// priorityOf returns a voter's priority; -1: it is none.
func priorityOf(c election.Config, id election.ID) int {
	i := c.Index(id)
	if i < 0 {
		return -1
	}
	return int(c.Voters[i].Priority)
}

func TestTheVotersOfAnElectionFollowAndThoseThatDoNotContestItRankLast(t *testing.T) {
	f := flockOf(t, 3, "x")
	d := f.start()
	e := f.start(contesting("x", "unheard"))
	f.voters(5)
	x := f.follows("x")
	f.until(20*time.Second, "priorities follow", func() bool {
		c := f.goose("x").config("x")
		return priorityOf(c, d.me) == caretaker && priorityOf(c, e.me) == 100
	})
	require.Equal(t, 100, priorityOf(x.config(""), d.me), "of the default election only")

	low := f.agents[2] // it keeps a place, before agents that do not contest
	low.set.Priority = caretaker
	low.Reload(low.set)
	low.fed = true
	f.until(20*time.Second, "its priority follows", func() bool {
		return priorityOf(f.goose("x").config("x"), low.me) == caretaker+1
	})
	d.set.Priority = 0
	d.Reload(d.set)
	d.fed = true
	f.until(20*time.Second, "a witness is one everywhere", func() bool {
		return priorityOf(f.goose("x").config("x"), d.me) == 0
	})
}

func TestVotersStayWhileTheGooseHandsOver(t *testing.T) {
	f := flockOf(t, 3, "x")
	x := f.follows("x")
	work := x.attach("x")
	f.until(time.Second, "it works", func() bool { return work.holders.Working > 0 })
	work.keeps, work.holders.Grace = true, 5*time.Second // it takes its time
	low := x.other()
	err, done := x.stepDown("x", low, false)
	low.set.Priority = 50
	low.Reload(low.set)
	low.fed = true
	f.until(2*time.Second, "its priority is known", func() bool { return priorityOf(f.goose("").config(""), low.me) == 50 })
	f.run(2 * lookEvery)
	require.False(t, *done)
	require.Equal(t, 100, priorityOf(x.config("x"), low.me))
	work.drain()
	f.until(time.Second, "handed over", func() bool { return *done })
	require.NoError(t, *err)
	f.until(20*time.Second, "its priority follows", func() bool { return priorityOf(f.goose("x").config("x"), low.me) == 50 })
}

func TestADeadVoterThatIsForcedOutLeavesAllElections(t *testing.T) {
	f := flockOf(t, 3, "x")
	g := f.goose("")
	dead := g.other()
	dead.crash()
	f.until(20*time.Second, "it has failed", func() bool { return dead.state == Failed && f.goose("") == g })
	done := false
	g.ForceLeave(dead.me, func(err error) {
		require.NoError(t, err)
		done = true
	})
	g.fed = true
	f.until(10*time.Second, "forced out", func() bool { return done })
	require.Negative(t, priorityOf(f.follows("x").config("x"), dead.me))
}

func TestALeaverVotesInNoElectionWhenItGoes(t *testing.T) {
	f := flockOf(t, 5, "x", "y")
	for range 2 {
		d := f.goose("x") // a goose of another election hands that over first
		if d == f.goose("") {
			f.stepDown("", nil)
		}
		err, done := d.leaves(false)
		f.until(20*time.Second, "it has left", func() bool { return *done })
		require.NoError(t, *err)
		f.run(0)
		for _, name := range []string{"", "x", "y"} {
			require.Negative(t, priorityOf(f.goose(name).config(name), d.me), "election %q", name)
		}
	}
}

func TestALeaverWaitsForTheOtherElectionsOnlySoLong(t *testing.T) {
	f := flockOf(t, 3, "x")
	d := f.duck()
	if d == f.goose("x") {
		f.stepDown("x", f.goose(""))
	}
	for _, a := range f.agents { // x has no goose that could take it out
		a.Named("x").ended = true
		a.Named("x").tellHolders()
	}
	f.goose("x").hearHigherTermOf(f.goose("x").Named("x"))
	start := f.now
	err, done := d.leaves(false)
	f.until(time.Minute, "it has left", func() bool { return *done })
	require.NoError(t, *err)
	require.GreaterOrEqual(t, f.now-start, leaveElections)
	require.Less(t, f.now-start, leaveElections+5*time.Second)
}

func TestOneThatDoesNotContestAnElectionTakesCareOfItsVotersAndGivesUp(t *testing.T) {
	f := newTestFlock(t)
	for i := range 3 {
		f.start(func(s *Settings) {
			if s.Expect = 3; i == 2 {
				s.Elections = []string{"x"}
			}
		})
	}
	c := f.agents[2]
	f.voters(3)
	f.until(time.Minute, "x", func() bool { return f.agents[0].Named("x") != nil && f.agents[1].Named("x") != nil })
	require.Equal(t, c, f.goose("x"))
	if f.goose("") == c {
		f.stepDown("", nil)
	}
	c.crash()
	g := f.goose("")
	f.run(2 * careAfter * testLease)
	for _, a := range f.agents[:2] {
		require.NotEqual(t, election.Leader, a.Named("x").node.Role(), "there is nothing to be done")
	}
	done := false
	g.ForceLeave(c.me, func(err error) {
		require.NoError(t, err)
		done = true
	})
	g.fed = true
	f.until(10*time.Second, "forced out", func() bool { return done })
	f.until(time.Minute, "x follows", func() bool {
		own, target := g.config("x"), g.config("")
		return sameVoters(&own, &target)
	})
	f.until(10*time.Second, "it gives up", func() bool { return g.Named("x").node.Role() != election.Leader && !g.Named("x").cares })
	f.run(2 * careAfter * testLease)
	require.NotEqual(t, election.Leader, g.Named("x").node.Role(), "and does not lead again")

	e := f.start(contesting("x")) // it contests x, and no voter does
	f.until(2*time.Minute, "it is a voter of x and leads it", func() bool {
		n := e.Named("x")
		return n != nil && n.node.Role() == election.Leader && e.locals["x"].lease.Until > f.now
	})
}

func TestAnElectionIsHandedToOneThatContestsIt(t *testing.T) {
	f := flockOf(t, 3, "x", "y")
	d := f.start()
	first := f.start(contesting("x", "y"), func(s *Settings) { s.Priority = 200 })
	f.voters(5)
	f.follows("x")
	f.until(20*time.Second, "priorities", func() bool { return priorityOf(f.goose("x").config("x"), d.me) == caretaker })
	require.Zero(t, d.Named("x").heir(f.now), "it leads nothing")
	f.until(20*time.Second, "priorities", func() bool { return priorityOf(f.goose("x").config("x"), first.me) == 200 })
	x := f.goose("x")
	if x == first {
		x = f.stepDown("x", f.agents[1])
	}
	n := x.Named("x")
	require.Equal(t, first.me, n.heir(f.now), "the one that ranks first")
	require.NotEqual(t, d.me, n.heir(f.now))
	require.Zero(t, x.Default().heir(f.now), "the default election asks whoever ranks first")
	require.True(t, d.Named("x").busy, "it does not campaign by itself")
	for range 4 {
		require.NotEqual(t, d, f.stepDown("x", nil))
	}
}

func TestAnElectionWithoutAnotherContestantIsNotHandedOver(t *testing.T) {
	f := flockOf(t, 3)
	c := f.duck()
	c.crash()
	c.set.Elections = []string{"x"}
	c.begin()
	f.until(20*time.Second, "x", func() bool { return f.agents[0].Named("x") != nil && f.agents[1].Named("x") != nil })
	f.until(20*time.Second, "c leads it", func() bool { return f.goose("x") == c })
	err, done := c.stepDown("x", nil, false)
	require.True(t, *done)
	require.Equal(t, &Refusal{Code: NoContestant, Election: "x"}, *err)
}

func TestSurplus(t *testing.T) {
	id := func(i byte) election.ID { return election.ID{i} }
	config := func(ids ...byte) (c election.Config) {
		for _, i := range ids {
			c = c.With(election.Voter{ID: id(i), Priority: 100})
		}
		return c
	}
	const now = time.Hour
	e := &Election{m: &Member{id: id(1), set: Settings{Lease: testLease}}}
	for _, tt := range []struct {
		name        string
		own, target election.Config
		silent      []byte
		next        byte // 0: none
	}{
		{"none too many", config(1, 2, 3), config(1, 2, 3), nil, 0},
		{"one too many", config(1, 2, 3), config(1, 2), nil, 3},
		{"the first of two", config(1, 2, 3, 4, 5), config(1, 2, 3), nil, 4},
		{"the silent one first", config(1, 2, 3, 4, 5), config(1, 2, 3), []byte{5}, 5},
		{"it cannot remove itself", config(1, 2, 3), config(2, 3), nil, 0},
		{"a surplus goose keeps those that the rest needs", config(1, 2, 3, 4), config(2), nil, 0},
		{"a surplus goose removes one that the rest does not need", config(1, 2, 3, 4), config(2, 3), nil, 4},
		{"and a silent one in any case", config(1, 2, 3, 4), config(2), []byte{4}, 4},
	} {
		e.contacts = nil
		for _, v := range tt.own.Members() {
			k := election.Contact{ID: v.ID, InTerm: true, AckAt: now}
			for _, s := range tt.silent {
				if v.ID == id(s) {
					k.AckAt = now - testLease
				}
			}
			e.contacts = append(e.contacts, k)
		}
		v, ok := e.surplus(now, &tt.own, &tt.target)
		require.Equal(t, tt.next != 0, ok, tt.name)
		if ok {
			require.Equal(t, id(tt.next), v.ID, tt.name)
		}
	}
}

func TestAnAgentAheadIsAddedToAnElectionOnceItsGooseHasRaisedTheTerm(t *testing.T) {
	f := flockOf(t, 3, "x")
	f.start(contesting("x"))
	d := f.start(contesting("x"))
	f.until(20*time.Second, "x has begun", func() bool { return d.Named("x") != nil })
	d.crash()
	entry := &d.saved.Elections[1]
	entry.Record.Term += 20
	term := entry.Record.Term
	d.begin()
	f.voters(5)
	require.Greater(t, f.follows("x").Named("x").node.Record().Term, term)
}

func TestACaretakerIsElectedAnewAboveTheTermOfAContestantThatIsAhead(t *testing.T) {
	f := flockOf(t, 3)
	late := f.start(contesting("x"))
	f.until(time.Minute, "x begins", func() bool { return late.Named("x") != nil })
	late.crash()
	entry := &late.saved.Elections[1]
	entry.Record.Term += 20
	term := entry.Record.Term
	late.begin()
	f.goose("").other().crash()
	f.until(3*time.Minute, "the contestant votes, and leads", func() bool {
		l := late.locals["x"]
		return l != nil && l.lease.Until > f.now
	})
	require.Greater(t, late.Named("x").node.Record().Term, term)
}

// In a full election, voters that the flock no longer has go before others come.
func TestAFullElectionMakesRoomBeforeItGrows(t *testing.T) {
	f := flockOf(t, 5, "x")
	f.voters(5)
	f.follows("x")
	last := f.agents[4].me
	for _, a := range f.agents {
		a.crash()
	}
	for _, a := range f.agents {
		x := &a.saved.Elections[1].Record
		c := x.Config.Without(last)
		for i := range byte(3) {
			c = c.With(election.Voter{ID: election.ID{100 + i}, Priority: 100})
		}
		c.Term, c.Version = 90, 1
		x.Config, x.Term, x.Vote = c, 90, election.ID{}
		require.EqualValues(t, election.MaxVoters, c.N)
		a.begin()
	}
	f.follows("x")
}

// An agent that takes care of an election continues until the contestant can vote.
func TestACaretakerLeadsUntilItsContestantVotes(t *testing.T) {
	f := flockOf(t, 3)
	late := f.start(contesting("x"))
	f.lost = func(_, to *testAgent, msg *wire.Message) bool { return to == late && msg.Election != 0 }
	f.until(time.Minute, "x begins", func() bool { return late.Named("x") != nil })
	f.goose("").other().crash() // the contestant takes its place
	var caretaker *testAgent
	f.until(3*time.Minute, "somebody takes care", func() bool {
		for _, a := range f.agents[:3] {
			if l := a.locals["x"]; l != nil && l.lease.Until > f.now {
				caretaker = a
			}
		}
		return caretaker != nil
	})
	token := caretaker.locals["x"].lease.Token
	f.run(careAfter * testLease)
	require.Greater(t, caretaker.locals["x"].lease.Until, f.now)
	require.Equal(t, token, caretaker.locals["x"].lease.Token)
}

// The next change waits until a majority has taken the one before.
func TestAChangeOfAnElectionWaitsForTheOneBeforeIt(t *testing.T) {
	f := flockOf(t, 3, "x")
	x := f.follows("x")
	old := x.config("x").Version
	f.lost = func(_, _ *testAgent, msg *wire.Message) bool {
		return msg.Election != 0 && msg.Kind == election.HeartbeatAck && msg.ConfigID.Version > old
	}
	for _, a := range f.agents {
		a.set.Priority = 50
		a.Reload(a.set)
		a.fed = true
	}
	f.until(20*time.Second, "the first change", func() bool { return x.config("x").Version > old })
	f.run(2 * lookEvery)
	require.Greater(t, x.locals["x"].lease.Until, f.now)
	require.Empty(t, x.told(EventChangeRefused))
	f.lost = nil
	f.until(20*time.Second, "all of them", func() bool {
		c := f.goose("x").config("x")
		return priorityOf(c, f.agents[0].me)+priorityOf(c, f.agents[1].me)+priorityOf(c, f.agents[2].me) == 150
	})
}

// The goose of an election that does not know the flock's voters removes nobody, silent
// or not.
func TestAGooseThatKnowsNoVotersOfTheFlockRemovesNobody(t *testing.T) {
	f := flockOf(t, 3, "x")
	x := f.agents[0]
	f.lost = func(_, to *testAgent, msg *wire.Message) bool { return to == x && msg.Election == 0 }
	x.crash()
	x.saved.Elections[0].Record.Config = election.Config{}
	x.begin()
	f.until(time.Minute, "it votes again", func() bool { return x.Named("x") != nil && x.Named("x").node.WaitUntil() < f.now })
	if f.goose("x") != x {
		f.stepDown("x", x)
	}
	f.agents[1].crash()
	f.run(4 * testLease)
	require.Greater(t, x.locals["x"].lease.Until, f.now)
	require.Zero(t, x.config("").N)
	require.EqualValues(t, 3, x.config("x").N)
}
