package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// former is the commit of the build that users upgrade from.
const former = "86c748839149b3c9a5763646c074c52552da09c3"

// formerBinary builds the former program out of the repository's history.
func formerBinary(t *testing.T) string {
	t.Helper()
	dir := makeOnce(t, "former", func(dir string) {
		script := `root=$(git rev-parse --show-toplevel) && git -C "$root" archive ` + former + ` | tar -x -C "$0"`
		if out, err := exec.Command("sh", "-c", script, dir).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: the former build's commit %.12s is not in this checkout's history: %v: %.300s", former, err, out)
		}
		build := exec.Command("go", "build", "-o", filepath.Join(dir, "former"), "./cmd/ddgoose")
		build.Dir = dir
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	return filepath.Join(dir, "former")
}

// TestAgentsAreUpgradedOneByOne restarts the agents of a flock of the former build with this one and then with the
// former again, in every order. At each step all agree on one goose, and nobody warns.
func TestAgentsAreUpgradedOneByOne(t *testing.T) {
	extra(t)
	now, old := binary(t), formerBinary(t) // in this order: it gives both the same key
	for _, order := range []string{"abc", "acb", "bac", "bca", "cab", "cba"} {
		t.Run(order, func(t *testing.T) {
			dir := shortDir(t)
			program := filepath.Join(dir, "ddgoose")
			require.NoError(t, os.Symlink(old, program))
			f, err := flock.Prepare(flock.Options{Binary: program, Dir: filepath.Join(dir, "f"), Agents: 3})
			require.NoError(t, err)
			t.Cleanup(f.Close)
			require.NoError(t, f.StartAll())
			calm := func(above uint64) (goose string, token uint64) {
				for _, name := range f.Names() {
					until(t, f, name, "three vote, and nobody warns", func(s api.Status) bool {
						return len(s.Config.Voters) == 3 && s.Goose != nil && len(s.Warnings) == 0
					})
				}
				return gooseOf(t, f, above)
			}
			goose, token := calm(0)
			for _, build := range []string{now, old} {
				require.NoError(t, os.Remove(program))
				require.NoError(t, os.Symlink(build, program))
				for _, letter := range strings.Split(order, "") {
					a := agent(t, f, letter)
					gone := a.Gone()
					require.NoError(t, a.Signal(syscall.SIGTERM))
					<-gone
					require.NoError(t, a.ExitError())
					least := token
					if letter != goose { // a duck's stop changes no goose
						least--
					}
					_, token = gooseOf(t, f, least)
					require.NoError(t, f.Start(letter))
					var again uint64
					goose, again = calm(least)
					require.GreaterOrEqual(t, again, token)
					token = again
				}
			}
		})
	}
}
