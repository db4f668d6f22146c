package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestProcessFreezeHoldsTheGooseUntilThawed(t *testing.T) {
	t.Parallel()
	flock := newFlock(t, "a", "b", "c")
	goose, _ := gooseOf(t, 0, flock...)
	for _, p := range flock {
		p.until("all are there", func(s api.Status) bool { return s.Alive == 3 })
	}
	duck := without(flock, goose)[0]
	want := api.Freeze{Remaining: 1200, Reached: []string{"a", "b", "c"}, Unreached: []api.Unreached{}}
	var got outcome
	apitest.Eventually(t, func() bool { // a busy one may answer late
		got = call(t, "freeze", "--for", "20m", "--json", "--socket", duck.socket, "--timeout", soon.String())
		var f api.Freeze
		return got.code == 0 && json.Unmarshal([]byte(got.stdout), &f) == nil && reflect.DeepEqual(f, want)
	}, "all are frozen; last: %+v", &got)
	for _, p := range flock {
		p.until("it warns", warns("the flock is frozen for "))
	}
	// The goose may change at any time, on a busy machine, by failure.
	apitest.Eventually(t, func() bool {
		goose, _ = gooseOf(t, 0, flock...)
		got = call(t, "step-down", "--socket", goose.socket, "--timeout", soon.String())
		require.Equal(t, 1, got.code, got.stdout)
		return strings.Contains(got.stderr, "ddgoose step-down --force")
	}, "it is refused")
	require.Contains(t, call(t, "why", "--socket", duck.socket).stdout, "the flock is frozen for ")
	require.Regexp(t, `the flock is frozen for (20|1\d)m more: planned goose changes are blocked, failover works \(ddgoose thaw\)`, call(t, "status", "--socket", duck.socket).stdout)
	apitest.Eventually(t, func() bool {
		goose, _ = gooseOf(t, 0, flock...)
		return call(t, "step-down", "--force", "--socket", goose.socket).code == 0
	}, "forced, another is the goose")

	apitest.Eventually(t, func() bool {
		got = call(t, "thaw", "--socket", duck.socket, "--timeout", soon.String())
		return got == outcome{stdout: "thawed: a b c\n"}
	}, "all are thawed; last: %+v", &got)
	apitest.Eventually(t, func() bool {
		goose, _ = gooseOf(t, 0, flock...)
		return call(t, "step-down", "--socket", goose.socket).code == 0
	}, "another is the goose")
}

func TestProcessHupMakesAnAgentTakeOverForItsPriority(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	config := filepath.Join(dir, "c.yaml")
	require.NoError(t, os.WriteFile(config, []byte("priority: 100\n"), 0o600))
	a := startAgent(t, dir, "a", "--expect", "3")
	flock := []*process{a}
	for _, name := range []string{"b", "c"} {
		flock = append(flock, startAgent(t, dir, name, "--expect", "3", "--config", config, "--join", a.addr()))
	}
	goose, _ := gooseOf(t, 0, flock...)
	top := without(flock[1:], goose)[0]
	require.NoError(t, os.WriteFile(config, []byte("priority: 200\npreempt: true\npreempt-after: 2s\n"), 0o600))
	top.signal(syscall.SIGHUP)
	top.until("it has taken over", isGoose)

	// A long wait is told of, by status and why, at both.
	next := without(flock[1:], top)[0]
	require.NoError(t, os.WriteFile(config, []byte("priority: 250\npreempt: true\npreempt-after: 1h\n"), 0o600))
	next.signal(syscall.SIGHUP)
	apitest.Eventually(t, func() bool {
		goose, _ := gooseOf(t, 0, flock...)
		if goose == next {
			return true // by a failure, on a busy machine
		}
		told := goose.name == top.name
		for _, p := range []*process{goose, next} {
			status := call(t, "status", "--socket", p.socket).stdout
			told = told && strings.Contains(status, "(priority 250) takes over from ") && strings.Contains(status, "a steady voter for 1h0m0s")
		}
		return told && strings.Contains(call(t, "why", "--socket", goose.socket).stdout, next.name+" has a higher priority (250) and asks to take over: it takes over in ") &&
			strings.Contains(call(t, "why", "--socket", next.socket).stdout, "its priority is higher (250, and "+goose.name+" has 200) and it asks to take over")
	}, "it waits for its hour")
}
