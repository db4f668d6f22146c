package member

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

func ackTo(to election.ID) *election.Message {
	return &election.Message{Kind: election.HeartbeatAck, Header: election.Header{To: to}}
}

func beatTo(to election.ID) *election.Message {
	return &election.Message{Kind: election.Heartbeat, Header: election.Header{To: to}}
}

func TestAnAckWaitsForTheNextHeartbeatToItsAgent(t *testing.T) {
	const beat = testHeartbeat
	to, now := election.ID{2}, time.Hour
	slack := (&outbox{heartbeat: beat}).slack()
	require.GreaterOrEqual(t, slack, ackSlack)
	for _, tt := range []struct {
		name     string
		beatAgo  time.Duration // 0: this agent sends it none
		patient  bool
		urgent   bool
		waitsFor time.Duration
	}{
		{"the next heartbeat is due soon", beat - 10*time.Millisecond, true, false, 10*time.Millisecond + slack},
		{"one has just left", time.Nanosecond, true, false, beat + slack - 1},
		{"one is late, but within the slack", beat + slack - 1, true, false, 1},
		{"none came when it was due", beat + slack, true, true, 0},
		{"none goes there", 0, true, true, 0},
		{"it may not wait", beat / 2, false, true, 0},
	} {
		o := outbox{heartbeat: beat}
		if tt.beatAgo > 0 {
			o.add(now-tt.beatAgo, 0, beatTo(to), false)
			o.queues[0].messages, o.queues[0].urgent = nil, false // it has left
		}
		o.add(now, 0, ackTo(to), tt.patient)
		require.Equal(t, tt.urgent, o.queues[0].urgent, tt.name)
		if !tt.urgent {
			require.Equal(t, now+tt.waitsFor, o.restUntil(now+time.Hour), tt.name)
			o.add(now+time.Millisecond, 0, ackTo(to), true)
			require.Equal(t, now+tt.waitsFor, o.restUntil(now+time.Hour), "%s: a second one does not prolong it", tt.name)
		}
	}
	require.Equal(t, now, (&outbox{}).restUntil(now), "nothing waits")
}

func TestWhatWaitsLeavesInTimeAndSaysHowLongItWaited(t *testing.T) {
	f := flockOf(t, 3, "x", "y")
	g := f.goose("x")
	if d := f.goose("y"); d == g {
		f.stepDown("y", g.other())
	}
	d := f.goose("y") // g and d send each other heartbeats, and acks
	f.run(time.Second)
	f.now += time.Millisecond
	held, waited := time.Duration(0), 0
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		if from == d && to == g && m.Kind == election.HeartbeatAck {
			require.LessOrEqual(t, m.Held, testHeartbeat)
			held = max(held, m.Held)
			waited++
		}
		return false
	}
	f.run(time.Second)
	require.Positive(t, waited)
	require.Positive(t, held, "acks wait for company")
	most := 0
	for _, e := range d.log {
		if e.kind == "send" && e.to == g.me {
			most = max(most, e.count)
		}
	}
	require.GreaterOrEqual(t, most, 2)
}

func TestTheFirstAckOfALeaderOrAConfigIsUrgent(t *testing.T) {
	f := flockOf(t, 3)
	e := f.duck().Default()
	msg := func(change func(*election.Message)) *election.Message {
		m := &election.Message{Kind: election.HeartbeatAck, Promise: testLease, Header: election.Header{
			To: election.ID{1}, Term: 7, ConfigID: election.ConfigID{Version: 3},
		}}
		change(m)
		return m
	}
	same := func(*election.Message) {}
	e.mayWait(msg(same))
	require.True(t, e.mayWait(msg(same)))
	for _, change := range []func(*election.Message){
		func(m *election.Message) { m.To = election.ID{2} },
		func(m *election.Message) { m.Term++ },
		func(m *election.Message) { m.ConfigID.Version++ },
	} {
		require.False(t, e.mayWait(msg(change)), "it tells something new")
		require.True(t, e.mayWait(msg(change)), "the second time it does not")
		require.False(t, e.mayWait(msg(same)))
	}
	require.False(t, e.mayWait(msg(func(m *election.Message) { m.Promise = 0 })), "it promises nothing")
	require.False(t, e.mayWait(msg(func(m *election.Message) { m.Kind = election.VoteReply })))
	require.False(t, e.mayWait(msg(func(m *election.Message) { m.Promise = 7 * testHeartbeat })), "it is short")
	require.True(t, e.mayWait(msg(func(m *election.Message) { m.Promise = 8 * testHeartbeat })))
	require.True(t, e.mayWait(msg(same)), "none of them is an ack that counts")
}

func TestTheQueuesOfThoseThatAskOnceAreDropped(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	ask := func(i int) {
		id := election.ID{200, byte(i), byte(i >> 8)}
		g.Remember(id, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1))
		g.Default().send(&election.Message{Kind: election.Reject, Header: g.Default().header(id)})
	}
	own := len(g.outbox.queues)
	for i := range queuesKept - own {
		ask(i)
	}
	g.turn()
	require.Len(t, g.outbox.queues, queuesKept, "there is room")
	ask(queuesKept)
	require.Len(t, g.outbox.queues, queuesKept+1)
	g.turn()
	require.Len(t, g.outbox.queues, 2, "only the other two voters' stay: heartbeats go there")
}

func TestAMessageToAnAgentThatNobodyKnowsIsCounted(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	nobody := election.ID{99}
	g.log, g.counts = nil, map[string]int{}
	g.Default().showConfig(nobody)
	g.Default().showConfig(nobody)
	g.turn()
	require.Equal(t, 2, g.counts["no_address"])
	for _, e := range g.log {
		require.NotEqual(t, nobody, e.to)
	}
	g.turn()
	require.Equal(t, 2, g.counts["no_address"], "it is dropped")
}

func TestAnAckTellsHowLongTheDiskHeldIt(t *testing.T) {
	const slow = 40 * time.Millisecond
	f := flockOf(t, 3)
	g := f.goose("")
	heir := f.named(g.node().Successor(f.now))
	d := f.agents[slices.IndexFunc(f.agents, func(a *testAgent) bool { return a != g && a != heir })]
	g.crash()
	held := time.Duration(-1)
	f.lost = func(from, _ *testAgent, msg *wire.Message) bool {
		if msg.Kind == election.HeartbeatAck && from == d && held < 0 {
			held = msg.Held // of the first ack: the new goose's config is saved before
		}
		return false
	}
	d.slow = slow
	f.until(10*time.Second, "an ack", func() bool { return held >= 0 })
	require.Equal(t, slow, held)
}
