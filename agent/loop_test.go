package agent

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// A promise that counts from before its heartbeat arrived may end before the goose's lease.
func TestRule11DatagramsAreHandledByALaterReadingOfTheClock(t *testing.T) {
	r := newRig(t, nil)
	arrived := map[election.ID]time.Duration{}
	r.read = func() { // one arrives right after each reading
		if r.n == 0 {
			return
		}
		r.n--
		body, err := r.keys.Open(nil, r.sent[r.n])
		require.NoError(t, err)
		require.NoError(t, wire.DecodeFrame(body, &r.in))
		r.now++
		arrived[r.in.From] = r.now
		r.l.inbox.Take(r.sent[r.n], netip.MustParseAddrPort("127.0.0.1:4000"))
	}
	heardAt := func(id election.ID) time.Duration { return r.l.member.Sighting(id, r.now).HeardAt }
	for range 20 {
		r.now += r.l.cfg.Heartbeat / 10
		was := map[election.ID]time.Duration{}
		for i := range byte(4) {
			was[election.ID{i + 1}] = heardAt(election.ID{i + 1})
		}
		r.loop(t)
		for id, at := range was {
			if heardAt := heardAt(id); heardAt != at {
				require.GreaterOrEqual(t, heardAt, arrived[id])
			}
		}
	}
	require.Len(t, arrived, 4)
}

// A machine that wakes up is busy: then its clocks do not show that it slept.
func TestALoopThatCannotTellWhetherTheMachineSleptIsNotLate(t *testing.T) {
	r := newRig(t, nil)
	var waits []time.Duration
	r.rings = make(chan time.Time, 1)
	r.wakes = func(after time.Duration) {
		waits = append(waits, after)
		switch len(waits) {
		case 1:
			r.asleep += time.Hour
			r.read = func() { r.now += clockApart / 2 }
			r.rings <- time.Time{}
		case 2:
			require.Less(t, time.Duration(r.l.lastTurn.Load()), r.now+r.asleep)
			require.Greater(t, time.Duration(r.l.lastTurn.Load()), r.now+r.asleep-r.l.cfg.Lease)
			r.l.Abort()
		}
	}
	require.NoError(t, r.l.loop(context.Background()))
	require.GreaterOrEqual(t, len(waits), 2)
	require.LessOrEqual(t, waits[1], r.l.cfg.Heartbeat)
}

func TestDatagramsWithoutEndDelayNoHeartbeat(t *testing.T) {
	r := newRig(t, nil)
	r.turn(t)
	again := r.sent[0]
	r.read = func() { // some arrive at each reading, which takes a while
		r.now += clockApart / 10
		for range 3 {
			r.l.inbox.Take(again, netip.MustParseAddrPort("127.0.0.1:4000"))
		}
	}
	ends, heartbeat := r.now+time.Second, r.l.cfg.Heartbeat
	before := r.l.sent.Load()
	for at := r.now; r.now < ends; at = r.now {
		r.loop(t)
		for i := range r.n {
			r.l.inbox.Take(r.sent[i], netip.MustParseAddrPort("127.0.0.1:4000"))
		}
		r.n = 0
		require.Less(t, r.now-at, heartbeat/10)
		require.Positive(t, r.l.member.Default().Node().Lease().Until-r.now)
	}
	require.InDelta(t, 4*float64(time.Second/heartbeat), r.l.sent.Load()-before, 4)
}
