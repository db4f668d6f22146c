package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

func TestGooselessNamesWhatThisAgentContestsAndNobodyLeads(t *testing.T) {
	f := flockOf(t, 3, "x", "y")
	a := f.agents[0]
	require.Empty(t, a.Gooseless(f.now))
	for _, b := range f.agents {
		b.Named("x").ended = true // nobody campaigns for it
		b.Named("x").tellHolders()
	}
	x := f.goose("x")
	x.hearHigherTermOf(x.Named("x"))
	f.run(testLease)
	require.Empty(t, a.Gooseless(f.now), "one that changes its goose has none for a moment")
	f.run(careAfter * testLease)
	require.Equal(t, []string{"x"}, a.Gooseless(f.now))
	a.table.entries = append(a.table.entries, store.Election{Number: 3, Name: "z"}, store.Election{Number: 4, Name: "unheard"})
	a.Member.set.Elections = []string{"x", "y", "z", "new"}
	a.table.lookedAt = nil
	require.Equal(t, []string{"x", "z", "new"}, a.Gooseless(f.now), "nor has one that has not begun, or is not founded")
	f.now += testLease
	require.Empty(t, a.Gooseless(f.now), "the default election's lack is told instead")

	unbound := newTestFlock(t).start(func(s *Settings) { s.Joins = true })
	require.Nil(t, unbound.Gooseless(unbound.f.now))
}

func TestSightingsTellWhenAVoterWasHeardAndWhatItAnswered(t *testing.T) {
	f := flockOf(t, 3)
	g, d := f.goose(""), f.duck()
	require.Positive(t, g.Sighting(d.me, f.now).HeardAt)
	require.Zero(t, g.Sighting(election.ID{99}, f.now).HeardAt, "not a voter")
	g.crash()
	f.until(5*time.Second, "another leads", func() bool { return f.goose("") != g })
	next := f.goose("")
	third := f.agents[0]
	for _, b := range f.agents {
		if b != g && b != next {
			third = b
		}
	}
	s := next.Sighting(third.me, f.now)
	require.True(t, s.Granted)
	require.Positive(t, s.AnsweredAt)
	require.LessOrEqual(t, next.AskedAt(), s.AnsweredAt)
	require.Greater(t, s.HeardAt, s.AnsweredAt, "it has acked since")
	silent := next.Sighting(g.me, f.now)
	require.Zero(t, silent.AnsweredAt)
	require.Equal(t, f.now-next.sightings.askedSince, silent.Unanswered)

	third.paused = true
	f.run(testLease)
	require.Equal(t, f.now-next.Sighting(third.me, f.now).HeardAt, next.Sighting(third.me, f.now).Unanswered)
	third.paused = false
}

func TestAskingThatPausesBeginsAnew(t *testing.T) {
	var s sightings
	ask := func(kind election.Kind, at time.Duration) { s.asking(&election.Message{Kind: kind, Nonce: 1}, at) }
	ask(election.Heartbeat, 1*time.Second)
	require.Zero(t, s.askedAt)
	ask(election.PreVoteRequest, 1*time.Second)
	ask(election.VoteRequest, 1*time.Second+askingPause)
	require.Equal(t, 1*time.Second, s.askedSince)
	ask(election.PreVoteRequest, 2*time.Second+2*askingPause)
	require.Equal(t, 2*time.Second+2*askingPause, s.askedSince)
	require.Equal(t, s.askedSince, s.askedAt)
}

func TestReadersSeeALeaseEndByTimeAlone(t *testing.T) {
	f := flockOf(t, 3)
	g, d := f.goose(""), f.duck()
	f.lost = func(from, to *testAgent, m *wire.Message) bool { return to == g || from == g }
	until := g.locals[""].lease.Until
	seen := d.locals[""].view
	require.Equal(t, g.me, seen.Goose)
	require.Equal(t, seen.HeardAt+testLease, seen.Lapses)
	require.Equal(t, g.locals[""].view.Token, seen.GooseToken)
	f.run(until - f.now - 1)
	require.True(t, g.locals[""].view.Leased)
	f.run(1)
	require.False(t, g.locals[""].view.Leased, "at that moment")
	f.run(max(seen.Lapses-f.now, 0))
	require.NotEqual(t, g.me, d.locals[""].view.Goose)
}

func TestReadersSeeWhenMembersChange(t *testing.T) {
	f := flockOf(t, 3)
	a := f.agents[0]
	was := a.locals[""].view.Members
	peers := append([]Peer(nil), a.Peers()...)
	change := func(what string, shown bool, do func(*Peer)) {
		peers = append([]Peer(nil), peers...)
		do(&peers[1])
		a.SetPeers(peers)
		now := a.locals[""].view.Members
		require.Equal(t, shown, now > was, what)
		was = now
	}
	change("nothing", false, func(*Peer) {})
	change("its round trip", false, func(p *Peer) { p.RTT++ })
	change("its config", false, func(p *Peer) { p.Meta.Config.ID.Version++ })
	change("a freeze", false, func(p *Peer) { p.Meta.Freeze.Left++ })
	change("a tag", true, func(p *Peer) { p.Meta.Tags = map[string]string{"a": "b"} })
	change("the same tag", false, func(p *Peer) { p.Meta.Tags = map[string]string{"a": "b"} })
	change("its name", true, func(p *Peer) { p.Meta.Name = "other" })
	change("it has failed", true, func(p *Peer) { p.State = Failed })
	require.Equal(t, 2, a.Alive())
	require.False(t, a.IsAlive(peers[1].ID))
	require.True(t, a.IsKnown(peers[1].ID))
	require.False(t, a.IsKnown(election.ID{99}))
	peers = peers[:1]
	a.SetPeers(peers)
	require.True(t, a.IsKnown(f.agents[1].me), "a voter is known whatever gossip says")
}

func TestASilencedAgentIsNoGoose(t *testing.T) {
	f := flockOf(t, 3, "x")
	g := f.goose("x")
	g.Silence(Stopped)
	for _, l := range g.locals {
		require.Zero(t, l.lease)
		require.Equal(t, Stopped, l.causes[len(l.causes)-1])
	}
}

func TestRule17ALateLoopReadsWhatWaitsBeforeItJudgesATimeout(t *testing.T) {
	for _, heard := range []bool{true, false} {
		f := flockOf(t, 3)
		d := f.duck()
		d.paused = true
		f.lost = func(_, to *testAgent, _ *wire.Message) bool { return to == d }
		f.run(3 * testLease)
		d.turn()
		require.Equal(t, election.Follower, d.node().Role(), "not in the first turn")
		require.LessOrEqual(t, d.WakeAt(0), f.now+readGrace)
		if heard {
			f.lost = nil
			f.run(testHeartbeat) // a heartbeat that waited
		}
		f.now += readGrace
		d.turn()
		require.Equal(t, heard, d.node().Role() == election.Follower)
	}
}

func TestAChangeOfOneAgentCostsTheSameInALargeFlock(t *testing.T) {
	f := flockOf(t, 3)
	a := f.agents[0]
	peers := a.Peers()
	one := peers[len(peers)-1]
	change := func() float64 {
		return testing.AllocsPerRun(20, func() {
			one.Meta.Work = !one.Meta.Work
			a.ChangePeers([]Peer{one}, nil)
		})
	}
	small := change()
	var many []Peer
	for i := range 1000 {
		p := one
		p.ID = election.ID{100, byte(i >> 8), byte(i)}
		p.Meta.Observer = true
		many = append(many, p)
	}
	a.ChangePeers(many, nil)
	require.Equal(t, 1003, a.Alive())
	require.LessOrEqual(t, change(), small+2)
	forgotten := make([]election.ID, 0, len(many))
	for _, p := range many {
		forgotten = append(forgotten, p.ID)
	}
	a.ChangePeers(nil, forgotten)
	require.Equal(t, 3, a.Alive())
	require.Len(t, a.Peers(), 3)
}
