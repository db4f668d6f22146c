package deploy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/cmd/ddgoose/flock"
)

const (
	failovers = 5
	// lookEach spaces the looks at who answers.
	lookEach = 2 * time.Millisecond
	// slack is what a busy machine may add to what HAProxy was told to do.
	slack = time.Second
)

// balancer is a HAProxy before a program beside each agent, that answers the agent's name.
type balancer struct {
	t     *testing.T
	inter time.Duration // between its looks at an agent
	http  http.Client
	log   *os.File
}

// startBalancer runs HAProxy with haproxy.cfg, its addresses replaced by these.
func startBalancer(t *testing.T, path string, f *flock.Flock) *balancer {
	t.Helper()
	dir := shortDir(t)
	config := read(t, "haproxy.cfg")
	inter, err := time.ParseDuration(regexp.MustCompile(` inter (\S+) `).FindStringSubmatch(config)[1])
	require.NoError(t, err)
	b := &balancer{t: t, inter: inter}

	var servers strings.Builder
	for _, name := range f.Names() {
		program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, name) // the asker may be gone
		}))
		t.Cleanup(program.Close)
		_, port, err := net.SplitHostPort(agent(t, f, name).HTTP)
		require.NoError(t, err)
		fmt.Fprintf(&servers, "    server %s %s port %s\n", name, program.Listener.Addr(), port)
	}
	front := filepath.Join(dir, "front")
	config = strings.ReplaceAll(config, "bind :8080", "bind "+front)
	config = regexp.MustCompile(`(?m)(^    server .*\n)+`).ReplaceAllLiteralString(config, servers.String())
	require.Contains(t, config, front)
	require.Contains(t, config, "server a ")
	require.NotContains(t, config, "10.0.0.")
	file := filepath.Join(dir, "haproxy.cfg")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	out, err := exec.Command(path, "-c", "-f", file).CombinedOutput()
	require.NoError(t, err, "%s", out)

	b.log, err = os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.log.Close() })
	cmd := exec.Command(path, "-db", "-f", file) // in the foreground
	cmd.Stdout, cmd.Stderr = b.log, b.log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // by that signal
	})
	b.http = http.Client{Timeout: soon, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", front)
		},
	}}
	return b
}

// leadsTo returns the name of the agent whose program answers; "" when none does.
func (b *balancer) leadsTo() string {
	resp, err := b.http.Get("http://front/")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	name, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(name)
}

// leadsOnlyTo reports whether HAProxy leads to that agent alone.
func (b *balancer) leadsOnlyTo(name string) bool {
	for range 20 {
		if b.leadsTo() != name {
			return false
		}
	}
	return true
}

// settled waits until HAProxy leads to the goose alone, whoever that is by now.
func (b *balancer) settled(f *flock.Flock) (goose string) {
	b.t.Helper()
	apitest.Eventually(b.t, func() bool {
		goose, _ = gooseOf(b.t, f, 0)
		return b.leadsOnlyTo(goose)
	}, "HAProxy leads to the goose alone")
	return goose
}

// when returns the first moment at which is holds.
func when(t *testing.T, is func() bool) <-chan time.Time {
	c := make(chan time.Time, 1)
	go func() {
		tick := time.NewTicker(lookEach)
		defer tick.Stop()
		for ; t.Context().Err() == nil; <-tick.C {
			if is() {
				c <- time.Now()
				return
			}
		}
	}()
	return c
}

func arrives(t *testing.T, c <-chan time.Time, what string) time.Time {
	t.Helper()
	select {
	case at := <-c:
		return at
	case <-time.After(soon):
		require.FailNow(t, "it never came", what)
		return time.Time{}
	}
}

// TestHAProxyFollowsTheGoose kills the goose again and again. HAProxy may be as
// late as one of its looks behind the agents.
func TestHAProxyFollowsTheGoose(t *testing.T) {
	extra(t)
	path := tool(t, "haproxy", "apt-get install haproxy")
	f := newFlock(t, 3)
	b := startBalancer(t, path, f)
	goose := b.settled(f)
	for i := range failovers {
		was, next := goose, ""
		others := map[string]*flock.Agent{}
		for _, name := range f.Names() {
			if name != was {
				others[name] = agent(t, f, name)
			}
		}
		killed := time.Now()
		require.NoError(t, f.Hold(t.Context(), was))
		elected := when(t, func() bool {
			for name, a := range others {
				if status, _, err := probe("tcp", a.HTTP, "GET", "/goose"); err == nil && status == http.StatusOK {
					next = name
					return true
				}
			}
			return false
		})
		followed := when(t, func() bool {
			name := b.leadsTo()
			return name != "" && name != was
		})
		led := arrives(t, elected, "another goose")
		at := arrives(t, followed, "HAProxy leads elsewhere")
		t.Logf("%d: %s killed, %s leads after %4d ms, and HAProxy to it %4d ms later (it looks every %v)",
			i+1, was, next, led.Sub(killed).Milliseconds(), at.Sub(led).Milliseconds(), b.inter)
		require.LessOrEqual(t, at.Sub(led), b.inter+slack)

		require.NoError(t, f.Start(was))
		goose = b.settled(f)
	}

	// A hand-over on purpose: for up to a look it may still lead to the old one, then never.
	to, err := agent(t, f, goose).Client().StepDown(t.Context(), "")
	require.NoError(t, err)
	asked := time.Now()
	led := arrives(t, when(t, func() bool { return b.leadsTo() == to }), "HAProxy leads to "+to)
	t.Logf("step-down: HAProxy leads to %s %d ms after it was the goose", to, led.Sub(asked).Milliseconds())
	b.settled(f)
}
