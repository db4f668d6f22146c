package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestPublicServerAnswersOverTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serve(t, apitest.New(), api.Public, ln)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, code := range map[string]int{"/goose": 200, "/duck": 503, "/v1/status": 200, "/v1/watch": 404} {
		resp, err := c.Get("http://" + ln.Addr().String() + path)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, code, resp.StatusCode, path)
	}
}

func TestLocalServerGivenATCPListenerLetsNobodyChangeAnything(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a := apitest.New()
	serve(t, a, api.Local, ln)
	resp, err := http.Post("http://"+ln.Addr().String()+"/v1/leave", "", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Empty(t, a.Heard())
}

func TestOneConnectionTakesManyCommands(t *testing.T) {
	a := apitest.New()
	s, c := serveSocket(t, a)
	c.Transport.(*http.Transport).DisableKeepAlives = false
	for range 3 {
		require.Equal(t, http.StatusOK, do(t, c, "POST", "/v1/leave", `{"force": true}`).code)
		require.Equal(t, http.StatusOK, do(t, c, "POST", "/v1/simulate/revive", "").code)
		require.Equal(t, http.StatusBadRequest, do(t, c, "POST", "/v1/leave", `{`).code)
		require.Equal(t, http.StatusBadRequest, do(t, c, "POST", "/v1/leave", strings.Repeat(" ", api.MaxBody+1)).code)
		require.Equal(t, http.StatusNotFound, do(t, c, "PUT", "/v1/nothing", `{}`).code)
	}
	require.Len(t, a.Heard(), 6)
	require.Eventually(t, func() bool { return s.Open() == 1 }, soon, time.Millisecond, "refused bodies end theirs")
	c.CloseIdleConnections()
	require.Eventually(t, func() bool { return s.Open() == 0 }, soon, time.Millisecond)
}

func TestCloseCutsWhatDoesNotEnd(t *testing.T) {
	a := apitest.New()
	a.Hang()
	s, c := serveSocket(t, a)
	answered := make(chan error, 1)
	go func() {
		resp, err := c.Post("http://agent/v1/step-down", "", nil)
		if err == nil {
			_ = resp.Body.Close()
		}
		answered <- err
	}()
	require.Eventually(t, func() bool { return len(a.Heard()) == 1 }, soon, time.Millisecond)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice is safe")
	require.Error(t, <-answered)
}

// TestCloseEndsASessionThatTheAgentHasNotTaken: nobody reads such a request,
// so not even the end of its connection ends its context.
func TestCloseEndsASessionThatTheAgentHasNotTaken(t *testing.T) {
	a := apitest.New()
	a.Hang()
	s, c := serveSocket(t, a)
	r, w := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		resp, err := c.Post("http://agent/v1/lead", "", r)
		if err == nil {
			_ = resp.Body.Close()
		}
		answered <- err
	}()
	require.Eventually(t, func() bool { return a.Hanging() == 1 }, soon, time.Millisecond)
	require.NoError(t, s.Close())
	require.Zero(t, a.Hanging())
	require.NoError(t, next(t, answered), "told why")
	require.NoError(t, w.Close())
}

func TestCommandEndsWithItsCaller(t *testing.T) {
	a := apitest.New()
	a.Hang()
	_, c := serveSocket(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", "http://agent/v1/leave", nil)
	require.NoError(t, err)
	go func() {
		for len(a.Heard()) == 0 {
			runtime.Gosched()
		}
		cancel()
	}()
	_, err = c.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return a.Hanging() == 0 }, soon, time.Millisecond)
}

func TestClosedServerServesNothing(t *testing.T) {
	ln, err := api.ListenSocket(socketPath(t), 0o600)
	require.NoError(t, err)
	s := api.NewServer(apitest.New(), api.Local, nil)
	require.NoError(t, s.Close())
	require.NoError(t, s.Serve(ln))
	_, err = net.Dial("unix", ln.Path())
	require.Error(t, err, "the listener is closed")
	require.NoFileExists(t, ln.Path())
}

func TestServeTellsWhenItsListenerBreaks(t *testing.T) {
	ln, err := api.ListenSocket(socketPath(t), 0o600)
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	s := api.NewServer(apitest.New(), api.Local, nil)
	require.ErrorIs(t, s.Serve(ln), net.ErrClosed)
	require.NoError(t, s.Close())
}
