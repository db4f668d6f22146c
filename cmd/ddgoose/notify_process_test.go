package main

import (
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
)

// usec is the clock of MONOTONIC_USEC=.
func usec(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts))
	return ts.Nano() / 1000
}

func TestProcessTellsTheServiceManagerHowItIs(t *testing.T) {
	m := newServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	t.Setenv("WATCHDOG_USEC", "400000")
	a := startAgent(t, shortDir(t), "a", "--expect", "2")
	m.until("READY=1")
	require.Equal(t, 1, call(t, "probe", "readyz", "--socket", a.socket, "--timeout", soon.String()).code, "it answers, and knows no goose")
	m.until("WATCHDOG=1")

	t.Setenv("NOTIFY_SOCKET", "")
	startAgent(t, filepath.Dir(a.socket), "b", "--expect", "2", "--join", a.addr())
	apitest.Eventually(t, func() bool {
		told, _ := m.until("STATUS=")
		return regexp.MustCompile(`^STATUS=(goose|duck of b), term [1-9]\d*$`).MatchString(told)
	}, "it tells who is the goose")

	before := usec(t)
	a.signal(syscall.SIGHUP)
	told, _ := m.until("RELOADING=1")
	match := regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=(\d+)$`).FindStringSubmatch(told)
	require.NotNil(t, match, told)
	at, err := strconv.ParseInt(match[1], 10, 64)
	require.NoError(t, err)
	require.GreaterOrEqual(t, at, before)
	require.LessOrEqual(t, at, usec(t))
	m.until("READY=1")

	a.signal(syscall.SIGTERM)
	m.until("STOPPING=1")
	require.Zero(t, a.exit(), a.log)
}

func TestProcessThatLeavesTellsThatItStops(t *testing.T) {
	flock := newFlock(t, "a", "b", "c")
	m := newServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	c := flock[2]
	c.signal(syscall.SIGTERM)
	require.Zero(t, c.exit(), c.log)
	c.start("--join", flock[0].addr())
	m.until("READY=1")
	apitest.Eventually(t, func() bool { // it may know no goose for a moment
		return call(t, "leave", "--socket", c.socket, "--timeout", soon.String()).code == 0 || closed(c.gone)
	}, "it leaves")
	m.until("STOPPING=1")
	require.Zero(t, c.exit(), c.log)
}

func TestProcessWhoseSocketIsTakenIsNeverReady(t *testing.T) {
	a := startAgent(t, shortDir(t), "a")
	a.status()
	m := newServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	b := startAgent(t, filepath.Dir(a.socket), "b", "--socket", a.socket)
	require.Equal(t, 1, b.exit())
	_, before := m.until("STOPPING=1")
	require.NotContains(t, before, "READY=1")
}
