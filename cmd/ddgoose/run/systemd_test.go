//go:build linux

package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// systemdEnv says that the systemd here belongs to the tests. Package deploy boots one,
// and runs this program in it.
const systemdEnv = "DDGOOSE_TEST_SYSTEMD"

// TestNoTwoUnitsAreAliveAtOnce forces changes of goose in every way we know. One unit of
// three ignores SIGTERM.
func TestNoTwoUnitsAreAliveAtOnce(t *testing.T) {
	if os.Getenv(systemdEnv) == "" {
		t.Skip("SKIPPED: this needs a systemd of its own; TestNoTwoUnitsAreAliveAtOnce of package deploy has one")
	}
	f := newFarm(t, managedFlock())
	f.burn(*overlapLoad)
	units := map[string]string{}
	for i, agent := range f.flock.Names() {
		more := ""
		if i == 1 {
			more = " stubborn"
		}
		env := filepath.Join(f.dir, agent+".env")
		units[agent] = "ddgoose-test-" + agent + ".service"
		text := fmt.Sprintf("[Unit]\nStartLimitIntervalSec=0\n[Service]\nEnvironment=%s=%s\nExecStart=%s env=%s%s\n", childEnv, f.dir, self(t), env, more)
		require.NoError(t, os.WriteFile(filepath.Join("/run/systemd/system", units[agent]), []byte(text), 0o600))
	}
	out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for agent, unit := range units {
		f.start(agent, []string{"--grace", "1s", "--unit", unit, "--env-file", filepath.Join(f.dir, agent+".env")})
	}
	f.force(max(*overlapChanges, 2*len(faults)))
	require.NotContains(t, strings.ToLower(f.log()), "only its manager can kill it")
}
