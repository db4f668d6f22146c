package main

import (
	"bytes"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata; a person reads the diff")

// soon bounds every wait for what must happen.
const soon = apitest.Patience

// built is the real binary, for tests that start processes.
var built apitest.Binary

func TestMain(m *testing.M) {
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, envPrefix) {
			_ = os.Unsetenv(name) // settings of who runs the tests are not theirs
		}
	}
	// What a test starts gets the defaults, even below nohup and in the background of a script: only ignored signals are
	// inherited. It also starts the goroutine of package signal, which never ends.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	if signal.Ignored(os.Interrupt) {
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	code := apitest.Main(m)
	_ = built.Remove()
	os.Exit(code)
}

func binary(t *testing.T) string {
	t.Helper()
	return built.Path(t)
}

// outcome is what a command line did.
type outcome struct {
	code           int
	stdout, stderr string
}

// run runs a command line in this process.
func run(t *testing.T, args ...string) outcome {
	t.Helper()
	return runWith(t, "", args...)
}

// runWith gives it something to read.
func runWith(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append([]string{}, args...) // for nil cobra takes those of the test program
	code := ddgoose(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// shortDir is a folder whose name leaves room for a socket's; test folders' may be too long.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ddg")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// fake serves an agent for tests at a socket.
func fake(t *testing.T) (*apitest.Agent, string) {
	t.Helper()
	a, socket := apitest.New(), filepath.Join(shortDir(t), "a.sock")
	serveFake(t, a, socket)
	return a, socket
}

func serveFake(t *testing.T, a *apitest.Agent, socket string) (stop func()) {
	t.Helper()
	ln, err := api.ListenSocket(socket, 0o600)
	require.NoError(t, err)
	s := api.NewServer(a, api.Local, nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	stop = sync.OnceFunc(func() {
		_ = s.Close() // what a test left open is cut
		<-served
	})
	t.Cleanup(stop)
	return stop
}

// lines is an output's, without what is behind the last newline.
func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }
