package health

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEachKindOfCheckTellsWellFromUnwell(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/nowhere", http.StatusFound)
		case "/ill":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := closed.Addr().String()
	require.NoError(t, closed.Close())
	for ask, fault := range map[string]string{
		"true":                     "",
		"echo no disk >&2; exit 3": "exit status 3: no disk",
		filepath.Join(dir, "none"): "not found",
		server.URL:                 "",
		server.URL + "/moved":      "",
		server.URL + "/ill":        "it answers 503 Service Unavailable",
		"http://" + gone:           "connection refused",
		"tcp://" + server.Listener.Addr().String(): "",
		"tcp://" + gone: "connection refused",
	} {
		check := Check{Ask: ask, Interval: time.Minute, Timeout: 30 * time.Second}.Default()
		require.NoError(t, check.Validate(), ask)
		err := check.Once(t.Context())
		if fault == "" {
			require.NoError(t, err, ask)
		} else {
			require.ErrorContains(t, err, fault, ask)
		}
	}
}

func TestACheckThatHangsFails(t *testing.T) {
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	defer server.Close()
	defer close(hangs)
	pid := filepath.Join(t.TempDir(), "pid")
	fails := func(ask string) {
		check := Check{Ask: ask, Timeout: 300 * time.Millisecond}.Default()
		require.ErrorContains(t, check.Once(t.Context()), "300ms", ask)
	}
	fails(server.URL)
	ran := false
	for end := time.Now().Add(time.Minute); !ran; { // a busy machine may not start a shell within the time-out
		fails("echo $$ > " + pid + "; sleep 1000")
		_, err := os.Stat(pid)
		ran = err == nil
		require.True(t, ran || time.Now().Before(end), "it never ran")
	}
}

func TestBadChecksAreRefusedWithWhatWouldBeRight(t *testing.T) {
	for ask, fault := range map[string]string{
		"":              "want a command",
		" ":             "want a command",
		"http://":       "want a URL with a host",
		"tcp://host":    "want tcp://HOST:PORT",
		"udp://host:53": "want a command, http://URL",
	} {
		require.ErrorContains(t, Check{Ask: ask}.Default().Validate(), fault, ask)
	}
	require.ErrorContains(t, Check{Ask: "true", Interval: time.Millisecond}.Default().Validate(), "check-interval 1ms: want 100ms to 1h0m0s")
	require.ErrorContains(t, Check{Ask: "true", Timeout: 3 * time.Second}.Default().Validate(), "check-timeout 3s: want 1ms to the check-interval, 2s")
	require.ErrorContains(t, Check{Ask: "true", Rise: -1, Fall: 101}.Default().Validate(), "check-fall 101: want 1 to 100")
}

func TestTheFirstAnswerCountsAtOnceAndLaterOnesByRiseAndFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var ill atomic.Pointer[string]
		fails := func(why string) { ill.Store(&why) }
		ask := func(context.Context) error {
			if why := ill.Load(); why != nil {
				return errors.New(*why)
			}
			return nil
		}
		told := make(chan error, 10)
		check := Check{Ask: "by the test", Interval: 2 * time.Second}.Default()
		go check.watch(ctx, ask, func(err error) { told <- err })
		start := time.Now()
		next := func() (time.Duration, error) { err := <-told; return time.Since(start), err }

		at, err := next()
		require.NoError(t, err)
		require.Zero(t, at)

		time.Sleep(time.Second)
		fails("ill")
		time.Sleep(4 * time.Second) // two failures
		ill.Store(nil)
		time.Sleep(2 * time.Second)
		fails("ill again")
		at, err = next()
		require.EqualError(t, err, "ill again")
		require.Equal(t, 12*time.Second, at, "three in a row")

		ill.Store(nil)
		at, err = next()
		require.NoError(t, err)
		require.Equal(t, 16*time.Second, at, "two in a row")
	})
}
