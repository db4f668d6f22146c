package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/client"
)

// serviceManager is the receiving end of sd_notify(3).
type serviceManager struct {
	t      *testing.T
	socket string
	conn   *net.UnixConn
}

func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	m := &serviceManager{t: t, socket: filepath.Join(shortDir(t), "notify")}
	var err error
	m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.conn.Close() })
	return m
}

// next returns the next message, without its last newline; "" when none comes within d.
func (m *serviceManager) next(d time.Duration) string {
	m.t.Helper()
	require.NoError(m.t, m.conn.SetReadDeadline(time.Now().Add(d)))
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	require.NoError(m.t, err)
	return strings.TrimSuffix(string(b[:n]), "\n")
}

// until skips to a message that begins so.
func (m *serviceManager) until(begin string) (message string, skipped []string) {
	m.t.Helper()
	for {
		message := m.next(soon)
		require.NotEmpty(m.t, message, "no %s after %q", begin, skipped)
		if strings.HasPrefix(message, begin) {
			return message, skipped
		}
		skipped = append(skipped, message)
	}
}

// notify starts a notifier about an agent for tests.
func notify(t *testing.T, a *apitest.Agent, socket string) (*notifier, *lockedBuffer) {
	t.Helper()
	log := &lockedBuffer{}
	n := startNotifier(os.LookupEnv, a, client.New(socket), slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(n.close)
	return n, log
}

func TestNotifierTellsTheRoleAtEachChangeOnly(t *testing.T) {
	m := newServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	a, socket := fake(t)
	notify(t, a, socket)
	_, skipped := m.until("READY=1")
	if len(skipped) == 0 {
		skipped = append(skipped, m.next(soon))
	}
	require.Equal(t, []string{"STATUS=goose, term 7"}, skipped)
	for _, c := range []struct {
		change func(*api.Status)
		want   string
	}{
		{func(s *api.Status) { s.Role, s.Goose = api.RoleDuck, &api.Goose{Name: "b"} }, "duck of b, term 7"},
		{func(s *api.Status) { s.Term = 8 }, "duck of b, term 8"},
		{func(s *api.Status) { s.Goose = nil }, "duck, knows no goose, term 8"},
		{func(s *api.Status) { s.Role = api.RoleCandidate }, "candidate, term 8"},
		{func(s *api.Status) { s.Role = api.RoleDead }, "dead by simulation"},
	} {
		a.Change(func(s *api.Status) { s.Alive++ }) // nothing that people should see
		a.Change(c.change)
		require.Equal(t, "STATUS="+c.want, m.next(soon))
	}
}

func TestNotifierIsNotReadyBeforeTheAgentsOwnSocketAnswers(t *testing.T) {
	m := newServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	a, other, socket := apitest.New(), apitest.New(), filepath.Join(shortDir(t), "a.sock")
	other.Change(func(s *api.Status) { s.ID = strings.Repeat("0", 32) })
	stop := serveFake(t, other, socket)
	n, _ := notify(t, a, socket)
	require.Equal(t, "STATUS=goose, term 7", m.next(soon))
	n.reloading()()
	require.Empty(t, m.next(5*waitPause), "another agent answers there")
	stop()
	serveFake(t, a, socket)
	require.Equal(t, "READY=1", m.next(soon))
	n.close()
	require.Equal(t, "STOPPING=1", m.next(soon))
	n.close()
	n.stopping()
	require.Empty(t, m.next(waitPause), "it is said once")
}

func TestNotifierFeedsTheWatchdogWhileTheAgentIsWell(t *testing.T) {
	m := newServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	t.Setenv("WATCHDOG_USEC", "200000")
	a, socket := apitest.New(), filepath.Join(shortDir(t), "a.sock")
	stop := serveFake(t, a, socket)
	n, log := notify(t, a, socket)
	m.until("READY=1")
	stop() // nobody reaches the socket from now on
	for range 8 {
		m.until("WATCHDOG=1")
	}
	a.Sicken(errors.New("the loop has not run for 1s"))
	apitest.Eventually(t, func() bool { return strings.Contains(log.String(), "unhealthy") }, "it notices")
	require.Contains(t, log.String(), "the loop has not run for 1s")
	apitest.Eventually(t, func() bool { return m.next(400*time.Millisecond) == "" }, "the manager hears nothing for twice its patience")
	a.Sicken(nil)
	m.until("WATCHDOG=1")
	a.Change(func(s *api.Status) { s.Role = api.RoleDead })
	a.Sicken(errors.New("dead by simulation"))
	m.until("STATUS=dead")
	for range 8 {
		m.until("WATCHDOG=1") // dead on purpose
	}
	n.close()
	m.until("STOPPING=1")
	require.Equal(t, 1, strings.Count(log.String(), "unhealthy"), "said once, not at each look: %s", log)
}

func TestNotifierOfNoManagerDoesNothing(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	a, socket := fake(t)
	n, log := notify(t, a, socket)
	n.reloading()()
	n.stopping()
	n.close()
	require.Empty(t, log.String())
	require.Zero(t, a.Watching())
}

func TestNotifierWaitsForNoManagerThatReadsNothing(t *testing.T) {
	m := newServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	a, socket := fake(t)
	n, log := notify(t, a, socket)
	m.until("READY=1")
	for !strings.Contains(log.String(), "does not read its socket") { // the system's queue, then ours, is full
		n.enqueue(string(bytes.Repeat([]byte("x"), 1000)))
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.close()
	}()
	select {
	case <-ended:
	case <-time.After(soon):
		require.FailNow(t, "it waits for the manager")
	}
	require.NoError(t, m.conn.Close()) // and lets the last message go
	<-n.ended
}

func TestNotifierSaysThatAManagerCannotBeReached(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(shortDir(t), "nobody"))
	a, socket := fake(t)
	_, log := notify(t, a, socket)
	apitest.Eventually(t, func() bool { return strings.Contains(log.String(), "cannot notify the service manager") }, "it says so")
}
