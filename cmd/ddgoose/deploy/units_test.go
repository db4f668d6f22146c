package deploy

import (
	"flag"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var unitFlags = flag.String("units", "", "flags of package run's TestNoTwoUnitsAreAliveAtOnce, as \"-overlap.changes=200 -overlap.load=8\"")

// TestNoTwoUnitsAreAliveAtOnce has package run's test of that name run below the real
// systemd.
func TestNoTwoUnitsAreAliveAtOnce(t *testing.T) {
	extra(t)
	program := filepath.Join(t.TempDir(), "run.test")
	out, err := exec.Command("go", "test", "-c", "-o", program, "../run").CombinedOutput()
	require.NoError(t, err, "%s", out)
	b := bootSystemd(t, map[string]string{"opt/bin/ddgoose": read(t, binary(t)), "opt/bin/run.test": read(t, program)})
	args := []string{"exec", "--env", "DDGOOSE_TEST_SYSTEMD=1", "--env", "DDGOOSE_TEST_BINARY=/opt/bin/ddgoose", b.name,
		"/opt/bin/run.test", "-test.v", "-test.timeout=60m", "-test.run=^TestNoTwoUnitsAreAliveAtOnce$"}
	out, err = exec.CommandContext(t.Context(), b.docker, append(args, strings.Fields(*unitFlags)...)...).CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
	require.Contains(t, string(out), "--- PASS: TestNoTwoUnitsAreAliveAtOnce")
}
