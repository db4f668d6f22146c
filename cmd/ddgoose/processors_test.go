package main

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestACalmAgentRunsOnOneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	var p processors
	becomes := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return runtime.GOMAXPROCS(0) == n }, time.Minute, time.Millisecond)
	}
	p.follow(false)
	becomes(1)
	runtime.SetDefaultGOMAXPROCS()
	all := runtime.GOMAXPROCS(0)
	p.follow(false)
	becomes(1)
	p.follow(true)
	becomes(all)
}
