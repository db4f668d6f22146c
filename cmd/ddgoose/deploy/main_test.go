package deploy

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// The agents' ports in all of these: between agents, and --http.
const (
	flockPort = 3825
	httpPort  = 3826
)

// soon bounds every wait for what must happen.
const soon = apitest.Patience

// built is the real binary.
var built apitest.Binary

func TestMain(m *testing.M) {
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "DDGOOSE_") && name != "DDGOOSE_TEST_EXTRA" {
			_ = os.Unsetenv(name) // settings of who runs the tests are not theirs
		}
	}
	code := m.Run()
	_ = built.Remove()
	os.Exit(code)
}

func binary(t *testing.T) string {
	t.Helper()
	return built.Path(t)
}

// extra skips what make test-extra alone runs.
func extra(t *testing.T) {
	t.Helper()
	if os.Getenv("DDGOOSE_TEST_EXTRA") == "" {
		t.Skip("SKIPPED: it takes a while, and needs more than Go; set DDGOOSE_TEST_EXTRA to run it")
	}
}

// tool finds a program, or skips aloud.
func tool(t *testing.T, name, remedy string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: there is no %s here (%s)", name, remedy)
	}
	return path
}

// run runs a program to its end.
func run(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exited *exec.ExitError
		require.ErrorAs(t, err, &exited)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// shortDir is a folder whose name leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dep")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// requireRight gives a command line of ours one fault, and requires that the
// binary finds that one alone: everything else, the agent would start with. The
// key file is one of the test's.
func requireRight(t *testing.T, args []string) {
	t.Helper()
	require.Equal(t, "agent", args[0])
	key := filepath.Join(t.TempDir(), "key")
	_, stderr, code := run(t, binary(t), "keygen", "--out", key)
	require.Zero(t, code, stderr)
	given := append([]string{}, args...)
	given = append(given, "--key-file", key, "--voters", "4")
	_, stderr, code = run(t, binary(t), given...)
	require.Equal(t, 2, code, stderr)
	require.Regexp(t, regexp.MustCompile(`^ddgoose: voters 4: [^;]*\n$`), stderr)
}

// flagOf returns the value of --name=VALUE.
func flagOf(args []string, name string) string {
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return v
		}
	}
	return ""
}
