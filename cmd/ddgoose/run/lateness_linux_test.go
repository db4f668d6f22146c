package run

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLatenessIsTheWorstOfLateAndFades(t *testing.T) {
	now := time.Hour
	l := lateness{clock: func() time.Duration { return now }}
	require.Zero(t, l.needs())
	require.False(t, l.hopeless())
	l.saw(80*time.Millisecond, time.Second)
	l.saw(20*time.Millisecond, time.Second)
	require.Equal(t, 80*time.Millisecond*latenessFactor, l.needs())
	now += latenessHalves
	require.Equal(t, 40*time.Millisecond*latenessFactor, l.needs())
	l.saw(50*time.Millisecond, time.Second)
	require.Equal(t, 50*time.Millisecond*latenessFactor, l.needs())
	require.False(t, l.hopeless())
	l.saw(50*time.Millisecond, 100*time.Millisecond)
	require.True(t, l.hopeless(), "half of a lease")
	l.seen = func() time.Duration { return 100 * time.Millisecond }
	now += 10 * latenessHalves
	require.True(t, l.hopeless(), "work that took long to end")
	l.seen = nil
	require.False(t, l.hopeless())
}

func TestAKillThatComesMuchSoonerSaysWhy(t *testing.T) {
	l := lateness{clock: func() time.Duration { return time.Hour }}
	require.Empty(t, l.whySooner(time.Second))
	l.guess = func() time.Duration { return 99 * time.Millisecond }
	require.Empty(t, l.whySooner(time.Second))
	l.guess = func() time.Duration { return 150 * time.Millisecond }
	require.Equal(t, ", 150ms sooner than usual: this machine is busy, or much must be killed", l.whySooner(time.Second))
}

// TestAMachineThatIsBarelyTooLateIsLeftAlone: else work would start and end several times a second.
func TestAMachineThatIsBarelyTooLateIsLeftAlone(t *testing.T) {
	now := time.Hour
	l := lateness{clock: func() time.Duration { return now }}
	l.saw(280*time.Millisecond, time.Second)
	require.True(t, l.hopeless(), "beyond 275 ms")
	for range 10 {
		now += time.Second
		l.saw(20*time.Millisecond, time.Second)
		require.True(t, l.hopeless())
	}
	now += time.Second
	require.False(t, l.hopeless())
	l.saw(270*time.Millisecond, time.Second)
	require.False(t, l.hopeless())
}
