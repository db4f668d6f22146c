package member

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/founding"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// frameFrom returns a datagram of an agent as it would send it now.
func frameFrom(from *testAgent, to election.ID, messages ...wire.Message) *wire.Frame {
	f := &wire.Frame{FlockID: from.FlockID(), To: to, Messages: messages}
	from.Stamp(f)
	return f
}

// receives hands an agent one datagram, and reports whether it believed the sender.
func (a *testAgent) receives(f *wire.Frame, from netip.AddrPort) bool {
	body, err := wire.AppendFrame(nil, f)
	require.NoError(a.f.t, err)
	got := &wire.Frame{}
	require.NoError(a.f.t, wire.DecodeFrame(body, got))
	believed, err := a.Receive(a.f.now, got, from)
	require.NoError(a.f.t, err)
	a.fed = true
	return believed
}

func TestRule10TheOldCopyOfADiskAndTheSecondLifeOfOneAreToldAndNotHeard(t *testing.T) {
	f := flockOf(t, 3)
	a, b := f.agents[0], f.agents[1]
	reject := wire.Message{Message: election.Message{Kind: election.Reject, Header: b.Default().header(a.me)}}
	heard := a.heard
	require.True(t, a.receives(frameFrom(b, a.me, reject), b.addr()))
	require.Equal(t, heard+1, a.heard)

	known := b.saved.Start
	b.Member.state.Start--
	old := frameFrom(b, a.me, reject)
	b.Member.state.Start++
	elsewhere := at("10.9.9.9:1")
	for range 2 {
		require.False(t, a.receives(old, elsewhere))
	}
	require.Equal(t, []Event{{Kind: EventStale, Peer: b.me, Addr: elsewhere, Start: known - 1, Known: known}}, a.told(EventStale))

	second := frameFrom(b, a.me, reject)
	second.Life++
	for range 2 {
		require.False(t, a.receives(second, elsewhere))
	}
	require.False(t, a.receives(frameFrom(b, a.me, reject), b.addr()), "nor is the first believed any more")
	require.Equal(t, []Event{{Kind: EventClone, Peer: b.me, Addr: elsewhere, Other: b.addr()}}, a.told(EventClone))
	require.Equal(t, heard+1, a.heard)
	require.Equal(t, 5, a.counts["dropped_identity"])
}

func TestDatagramsOfAnotherFlockAreDroppedAndTold(t *testing.T) {
	f := flockOf(t, 3)
	a, b := f.agents[0], f.agents[1]
	heard := a.heard
	reject := wire.Message{Message: election.Message{Kind: election.Reject, Header: b.Default().header(a.me)}}
	foreign := frameFrom(b, a.me, reject)
	foreign.FlockID = election.FlockID{77}
	require.True(t, a.receives(foreign, b.addr()), "what else it carries may be used")
	require.Equal(t, []Event{{Kind: EventForeignFlock, Peer: b.me, Addr: b.addr(), FlockID: foreign.FlockID}}, a.told(EventForeignFlock))
	require.Equal(t, 1, a.counts["dropped_flock"])
	require.Equal(t, heard, a.heard)

	unbound := f.start(func(s *Settings) { s.Joins = true })
	require.True(t, unbound.receives(frameFrom(b, unbound.me, reject), b.addr()))
	require.Equal(t, 1, unbound.counts["dropped_flock"])
	require.Empty(t, unbound.told(EventForeignFlock), "it has no flock that others could be foreign to")
	require.Zero(t, unbound.FlockID(), "a datagram alone binds nobody")
}

func TestMessagesOfElectionsThatHaveNotBegunHereAreDropped(t *testing.T) {
	f := flockOf(t, 3, "x")
	a, b := f.agents[0], f.agents[1]
	x := b.Named("x")
	message := func(number uint64) wire.Message {
		return wire.Message{Election: number, Message: election.Message{Kind: election.Reject, Header: x.header(a.me)}}
	}
	require.True(t, a.receives(frameFrom(b, a.me, message(1)), b.addr()))
	require.Zero(t, a.counts["dropped_election"])
	require.True(t, a.receives(frameFrom(b, a.me, message(2)), b.addr()))
	require.Equal(t, 1, a.counts["dropped_election"])
	former := message(1)
	former.Generation.Number++
	require.True(t, a.receives(frameFrom(b, a.me, former), b.addr()))
	require.Equal(t, 2, a.counts["dropped_election"], "numbers meant others before a recovery")
}

func TestRule27VotersShowTheirConfigToThoseWhoseGossipShowsAnOlderOne(t *testing.T) {
	f := flockOf(t, 3)
	a := f.agents[0]
	rec := a.node().Record()
	flock, older := a.FlockID(), ShownConfig{Known: true}
	same, newer := a.shownConfig(), a.shownConfig()
	newer.ID.Version++
	var peers []Peer
	for i, p := range []struct {
		flock election.FlockID
		state PeerState
		shown ShownConfig
	}{
		{flock, Alive, older}, // only this one gets the config
		{flock, Alive, same},
		{flock, Alive, newer},
		{flock, Alive, ShownConfig{}},
		{flock, Failed, older},
		{flock, Left, older},
		{election.FlockID{7}, Alive, older},
	} {
		id := election.ID{100 + byte(i)}
		peers = append(peers, Peer{ID: id, State: p.state, Addr: at("10.7.0.1:1"), Meta: Meta{FlockID: p.flock, Config: p.shown}})
	}
	a.SetPeers(append([]Peer{{ID: a.me, State: Alive, Meta: Meta{FlockID: flock, Config: older}}}, peers...))
	shown := func(wait time.Duration) (to []election.ID) {
		a.outbox.queues = nil
		f.now += wait
		a.showNewerConfig(f.now)
		for _, q := range a.outbox.queues {
			for _, m := range q.messages {
				if m.Kind == election.Reject && m.Config == rec.Config {
					to = append(to, q.to)
				}
			}
		}
		return to
	}
	every := max(seenEvery, 2*testLease)
	require.Equal(t, []election.ID{{100}}, shown(every))
	require.Empty(t, shown(every-1), "gossip needs a moment to tell what has changed")
	require.Equal(t, []election.ID{{100}}, shown(1))

	rec.Config = rec.Config.Without(a.me)
	a.saved = a.saved.WithRecord(rec)
	a.crash()
	a.begin()
	a.SetPeers(peers)
	require.Empty(t, shown(every), "it is not a voter")
}

func TestRule27AnAgentWhoseConfigIsOldLearnsTheNewOneByGossip(t *testing.T) {
	f := flockOf(t, 3)
	d := f.duck()
	old := d.saved
	d.crash()
	f.run(time.Second)
	f.start()
	f.start()
	g := f.voters(5)
	d.saved = old
	f.lost = func(from, to *testAgent, m *wire.Message) bool { // it hears only agents that show it a config
		return from == d || to == d && m.Kind != election.Reject
	}
	d.begin()
	f.until(10*time.Second, "it has the config", func() bool { return d.config("").ConfigID == g.config("").ConfigID })
}

func TestWhatWordsOfAFoundingAreAnsweredAfterwards(t *testing.T) {
	f := flockOf(t, 3)
	a, b := f.agents[0], f.agents[1]
	set := []election.ID{a.me, b.me, {3}}
	word := func(kind wire.FoundingKind, attempt uint64, flock election.FlockID, ids []election.ID) *wire.Frame {
		w := &wire.Frame{To: a.me, Founding: wire.Founding{Kind: kind, Attempt: attempt, Expect: 3, FlockID: flock, Set: ids}}
		b.Stamp(w)
		return w
	}
	answer := func(w *wire.Frame) (config, released bool) {
		a.outbox.queues, a.log = nil, nil
		require.True(t, a.receives(w, b.addr()))
		for _, q := range a.outbox.queues {
			for _, m := range q.messages {
				config = config || m.Kind == election.Reject && m.Config.N > 0
			}
		}
		return config, count(a.log, "send") > 0
	}
	own := a.FlockID()
	attempt := a.saved.Founding.Attempt
	config, released := answer(word(wire.FoundAccept, attempt, own, nil))
	require.True(t, config, "it was founded, and the other has not heard")
	require.False(t, released)
	config, released = answer(word(wire.FoundRefuse, attempt, own, nil))
	require.False(t, config)
	require.False(t, released)
	another := wire.FoundingID(set, 99)
	config, released = answer(word(wire.FoundAccept, 99, another, set))
	require.False(t, config)
	require.True(t, released, "this agent never founds that one")
	_, released = answer(word(wire.FoundPropose, 99, another, set))
	require.False(t, released)
}

func TestAnAgentThatFoundsNoMoreReleasesOnlyWhatItHasAborted(t *testing.T) {
	f := newTestFlock(t)
	b := f.start(func(s *Settings) { s.Joins = true })
	a := f.start(func(s *Settings) { s.Joins = true })
	a.crash()
	a.saved.Founding = store.Founding{Attempt: 4, Aborted: 4}
	a.begin()
	f.run(100 * time.Millisecond)
	require.Nil(t, a.Founder())
	set := []election.ID{a.me, {5}}
	answers := func(attempt uint64) int {
		w := &wire.Frame{To: a.me, Founding: wire.Founding{
			Kind: wire.FoundAccept, Attempt: attempt, Expect: 2, FlockID: wire.FoundingID(set, attempt), Set: set,
		}}
		b.Stamp(w)
		a.log = nil
		require.True(t, a.receives(w, b.addr()))
		return count(a.log, "send")
	}
	require.Equal(t, 1, answers(4))
	require.Zero(t, answers(5), "this disk does not know that attempt: an old copy may have lost it")
}

func TestAnAcceptanceBindsToTheFlockThatItWasFor(t *testing.T) {
	f := newTestFlock(t)
	for range 3 {
		f.start(func(s *Settings) { s.Expect = 3 })
	}
	c := f.agents[2]
	f.until(5*time.Second, "c has accepted", func() bool { return c.Founder() != nil && c.Founder().Bound() })
	require.True(t, c.Meta().Accepted)
	require.Zero(t, c.Meta().FlockID)
	require.False(t, c.saved.Founding.FlockID.IsZero(), "it is durable")
	c.crash()
	c.set.Expect, c.set.Joins = 0, false
	c.begin()
	require.NotNil(t, c.Founder(), "it binds whatever the flags say now")
	c.crash()
	c.set.Expect = 3
	c.begin()
	c.SetPeers([]Peer{{ID: election.ID{50}, State: Alive, Meta: Meta{FlockID: election.FlockID{50}}}})
	c.turn()
	require.Zero(t, c.FlockID(), "another flock")
	f.gossip()
	f.until(10*time.Second, "it is bound", func() bool { return !c.FlockID().IsZero() })
	require.Equal(t, c.saved.Founding.FlockID, c.FlockID())
	require.Nil(t, c.Founder())
}

func TestADatagramOfTheFlockShowsThatItWasFounded(t *testing.T) {
	f := newTestFlock(t)
	for range 3 {
		f.start(func(s *Settings) { s.Expect = 3 })
	}
	c := f.agents[2]
	f.until(5*time.Second, "c has accepted", func() bool { return c.Founder() != nil && c.Founder().Bound() })
	accepted := c.saved.Founding.FlockID
	a := f.agents[0]
	f.until(5*time.Second, "a has founded", func() bool { return a.node() != nil })
	require.Nil(t, c.node())
	require.True(t, c.receives(frameFrom(a, c.me, wire.Message{
		Message: election.Message{Kind: election.Reject, Header: a.Default().header(c.me), Config: a.config("")},
	}), a.addr()))
	require.Equal(t, accepted, c.FlockID())
	require.NotZero(t, c.config("").N, "the same datagram counts")
}

func TestACrashAfterTheFoundingTellsTheOthersAllTheSame(t *testing.T) {
	f := newTestFlock(t)
	for range 3 {
		f.start(func(s *Settings) { s.Expect = 3 })
	}
	a := f.agents[0]
	f.until(5*time.Second, "a has founded", func() bool { return a.node() != nil })
	a.crash()
	f.later = nil // nothing of it has left
	f.gossip()
	for _, b := range f.agents[1:] {
		require.Nil(t, b.node(), "nobody has heard of it")
	}
	a.begin()
	require.Len(t, a.founders, 3)
	f.gossip()
	g := f.goose("")
	require.EqualValues(t, 3, g.config("").N)
	f.run(time.Second)
	require.Empty(t, a.founders, "a goose was heard")
}

func TestAWordToAnAgentThatNobodyKnowsIsCounted(t *testing.T) {
	f := newTestFlock(t)
	a := f.start(func(s *Settings) { s.Joins = true })
	a.sendFounding(&founding.Word{To: election.ID{99}})
	require.Equal(t, 1, a.counts["no_address"])
	require.Zero(t, count(a.log, "send"))
}
