package main

import (
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAHeapIsSmallWhileItFillsSlowly(t *testing.T) {
	now := time.Now()
	c := collections{last: now, percent: calmGC}
	after := func(pause time.Duration) (changed bool) {
		now = now.Add(pause)
		return c.happened(now)
	}
	require.False(t, after(2*time.Minute))
	require.Equal(t, calmGC, c.percent)
	require.True(t, after(time.Second))
	require.Equal(t, usualGC, c.percent)
	require.False(t, after(time.Second))
	require.True(t, after(calmAfter))
	require.Equal(t, calmGC, c.percent)
}

func TestCollectionsAreFollowed(t *testing.T) {
	before := debug.SetGCPercent(usualGC)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	percent := func() int {
		p := debug.SetGCPercent(usualGC)
		debug.SetGCPercent(p)
		return p
	}
	new(collections).begin()
	require.Equal(t, calmGC, percent())
	require.Eventually(t, func() bool {
		debug.FreeOSMemory()
		return percent() == usualGC
	}, time.Minute, time.Millisecond)
}
