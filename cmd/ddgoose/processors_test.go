package main

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent"
	"duckduckgoose/agent/health"
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

func TestAnAgentThatStartsProgramsKeepsItsProcessors(t *testing.T) {
	command, url := health.Check{Ask: "/bin/true"}, health.Check{Ask: "http://127.0.0.1:8080/health"}
	require.True(t, startsPrograms(&agent.Config{}, 1), "hooks")
	require.True(t, startsPrograms(&agent.Config{Check: command}, 0))
	require.True(t, startsPrograms(&agent.Config{Check: url, Checks: map[string]health.Check{"x": url, "y": command}}, 0))
	require.False(t, startsPrograms(&agent.Config{Check: url, Checks: map[string]health.Check{"x": {Ask: "tcp://127.0.0.1:5432"}}}, 0))
	require.False(t, startsPrograms(&agent.Config{}, 0))
}
