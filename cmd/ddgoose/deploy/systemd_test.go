package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mostExposed is what systemd-analyze security may make of the unit, of 10: "OK" ends at 4.9.
const mostExposed = 2.0

func TestSettingsToBeginWithAreRight(t *testing.T) {
	text := read(t, "ddgoose.yaml")
	requireRight(t, []string{"agent", "--config", "ddgoose.yaml"})
	require.Contains(t, text, "key-file: /etc/ddgoose/ddgoose.key\n")
	require.Contains(t, text, "http: 0.0.0.0:"+strconv.Itoa(httpPort))
	require.Contains(t, text, "bind: 0.0.0.0:"+strconv.Itoa(flockPort))
}

func TestUnitRunsTheAgentWithTheseSettings(t *testing.T) {
	unit := read(t, "ddgoose.service")
	require.Contains(t, unit, "\nExecStart=/usr/local/bin/ddgoose agent --config /etc/ddgoose/ddgoose.yaml\n")
	require.Contains(t, unit, "\nAssertPathExists=/etc/ddgoose/ddgoose.yaml\n")
	require.Contains(t, unit, "\nType=notify\n")
	user := regexp.MustCompile(`(?m)^User=(.*)$`).FindStringSubmatch(unit)[1]
	require.Regexp(t, `(?m)^u `+user+` `, read(t, "ddgoose.sysusers"))
}

// installed is the unit as it is where the binary is that was just built.
func installed(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ddgoose.service")
	unit := strings.ReplaceAll(read(t, "ddgoose.service"), "/usr/local/bin/ddgoose", binary(t))
	require.NoError(t, os.WriteFile(path, []byte(unit), 0o600))
	return path
}

func TestSystemdFindsNoFaultInTheUnit(t *testing.T) {
	analyze := tool(t, "systemd-analyze", "apt-get install systemd")
	stdout, stderr, code := run(t, analyze, "verify", "--man=no", installed(t))
	require.Zero(t, code, stderr)
	for _, line := range strings.Split(stdout+stderr, "\n") {
		require.NotContains(t, line, "ddgoose", "of this unit: other lines are of this machine")
	}
}

func TestSystemdFindsTheUnitWellWalledIn(t *testing.T) {
	analyze := tool(t, "systemd-analyze", "apt-get install systemd")
	stdout, stderr, code := run(t, analyze, "security", "--no-pager", "--offline=yes", installed(t))
	if code != 0 && strings.Contains(stderr, "offline") {
		t.Skip("SKIPPED: this systemd cannot judge a unit that is not loaded (want 250 or later)")
	}
	require.Zero(t, code, stderr)
	level := regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+) `).FindStringSubmatch(stdout)
	require.NotNil(t, level, stdout)
	t.Logf("exposure level %s of 10", level[1])
	exposed, err := strconv.ParseFloat(level[1], 64)
	require.NoError(t, err)
	require.LessOrEqual(t, exposed, mostExposed, stdout)
}
