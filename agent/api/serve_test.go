package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
)

// soon bounds every wait for what must happen.
const soon = apitest.Patience

// socketPath is in a folder of its own; test folders' own names may be too long.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ddg")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "a.sock")
}

// serve answers for b on a listener until the test ends.
func serve(t *testing.T, b api.Backend, scope api.Scope, ln net.Listener) *api.Server {
	t.Helper()
	s := api.NewServer(b, scope, nil)
	run(t, s, ln)
	return s
}

func run(t *testing.T, s *api.Server, ln net.Listener) {
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		_ = s.Close() // a test may have left connections open: they are cut
		require.NoError(t, <-served)
	})
}

// serveSocket serves b at a unix socket, and gives a client for it.
func serveSocket(t *testing.T, b api.Backend) (*api.Server, *http.Client) {
	t.Helper()
	return serveSocketBy(t, b, boottime.Now)
}

// serveSocketBy counts deadlines by another clock.
func serveSocketBy(t *testing.T, b api.Backend, clock func() time.Duration) (*api.Server, *http.Client) {
	t.Helper()
	ln, err := api.ListenSocket(socketPath(t), 0o600)
	require.NoError(t, err)
	s := api.NewServer(b, api.Local, nil)
	s.SetClock(clock)
	run(t, s, ln)
	return s, clientOf(ln.Path())
}

// clientOf makes one connection a request to a unix socket.
func clientOf(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   string
}

// ask serves one request without a listener, from this process's own user.
func ask(b api.Backend, scope api.Scope, method, path, body string) answer {
	return askAs(os.Geteuid(), b, scope, method, path, body)
}

func askAs(uid int, b api.Backend, scope api.Scope, method, path, body string) answer {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	w := httptest.NewRecorder()
	api.HandlerFor(b, scope, uid).ServeHTTP(w, httptest.NewRequest(method, path, in))
	return answer{w.Code, w.Header(), w.Body.String()}
}

// do makes one request over a connection.
func do(t *testing.T, c *http.Client, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://agent"+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := c.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header, string(got)}
}

// duck is an agent that hears a goose.
func duck() *apitest.Agent {
	a := apitest.New()
	a.Change(func(s *api.Status) {
		s.Role, s.Lease = api.RoleDuck, api.Lease{}
		s.Goose = &api.Goose{Name: "b", Term: 7, HeardMS: 12}
	})
	return a
}

// lost is a duck that hears none.
func lost() *apitest.Agent {
	a := duck()
	a.Change(func(s *api.Status) { s.Goose, s.Token = nil, 0 })
	return a
}

// dead is an agent that was the goose when its death was simulated.
func dead() *apitest.Agent {
	a := apitest.New()
	a.Change(func(s *api.Status) { s.Role = api.RoleDead })
	a.Sicken(api.Conflict("dead by simulation"))
	return a
}
