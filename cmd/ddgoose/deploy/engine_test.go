package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// engine is the Docker engine of this machine. Whatever a test makes has names
// with its prefix, and goes again when the test ends.
type engine struct {
	t      *testing.T
	docker string
	prefix string
}

// engineHere skips aloud where no engine runs.
func engineHere(t *testing.T) engine {
	t.Helper()
	docker := tool(t, "docker", "a Docker engine is needed")
	if _, stderr, code := run(t, docker, "info"); code != 0 {
		t.Skipf("SKIPPED: no Docker engine runs here: %s", strings.TrimSpace(stderr))
	}
	return engine{t, docker, fmt.Sprintf("ddgoose-test-%d-", os.Getpid())}
}

// do runs a command of docker that must succeed, and gives what it prints.
func (e engine) do(args ...string) string {
	e.t.Helper()
	stdout, stderr, code := run(e.t, e.docker, args...)
	require.Zero(e.t, code, "docker %s: %s%s", strings.Join(args, " "), stdout, stderr)
	return strings.TrimSpace(stdout)
}

// try runs a command of docker that may fail.
func (e engine) try(args ...string) (stdout string, code int) {
	e.t.Helper()
	stdout, _, code = run(e.t, e.docker, args...)
	return strings.TrimSpace(stdout), code
}

func (e engine) named(names ...string) (full []string) {
	for _, n := range names {
		full = append(full, e.prefix+n)
	}
	return full
}

// atTheEnd cleans up, whatever of it was made; the last asked for goes first.
func (e engine) atTheEnd(args ...string) {
	e.t.Cleanup(func() {
		if out, err := exec.Command(e.docker, args...).CombinedOutput(); err != nil && !strings.Contains(strings.ToLower(string(out)), "no such") {
			e.t.Errorf("docker %s: %v: %s", strings.Join(args, " "), err, out)
		}
	})
}
