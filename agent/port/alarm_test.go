package port

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// rang waits until an alarm rings.
func rang(t *testing.T, rings <-chan time.Time) {
	t.Helper()
	select {
	case <-rings:
	case <-time.After(apitest.Patience):
		require.Fail(t, "the alarm does not ring")
	}
}

func TestTheAlarmRingsAtTheLastTimeSet(t *testing.T) {
	s, _ := listenFor(t, "127.0.0.1:0")
	rings, set := Alarm(s)
	set(0)
	rang(t, rings)
	start := time.Now()
	set(time.Hour)
	set(20 * time.Millisecond)
	rang(t, rings)
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
}

func TestAReplacedTimeDoesNotRingNorDoDatagrams(t *testing.T) {
	const replaced = 20 * time.Millisecond
	for {
		s, all := listenFor(t, "127.0.0.1:0")
		rings, set := Alarm(s)
		start := time.Now()
		set(replaced)
		set(time.Hour)
		if time.Since(start) >= replaced {
			continue // the machine stood still in between, so it may ring
		}
		for time.Since(start) < 2*replaced {
			require.NoError(t, s.WriteTo([]byte("x"), s.LocalAddr()))
			next(t, all)
		}
		require.Empty(t, rings)
		return
	}
}

func TestTheAlarmRingsInAFlood(t *testing.T) {
	s, err := ListenUDP("127.0.0.1:0", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	rings, set := Alarm(s)
	again := func([]byte, netip.AddrPort) {
		for range 4 { // so that the reader always finds more
			_ = s.WriteTo([]byte("x"), s.LocalAddr())
		}
	}
	s.Receive(again, nil)
	again(nil, netip.AddrPort{})
	set(time.Millisecond)
	rang(t, rings)
}

func TestAClosedTransportsAlarmDoesNothing(t *testing.T) {
	s, err := ListenUDP("127.0.0.1:0", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	rings, set := Alarm(s)
	set(time.Hour)
	require.NoError(t, s.Close())
	set(0)
	require.Empty(t, rings)
}
