package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/cmd/ddgoose/soak"
)

func TestSoakPrintsItsScenario(t *testing.T) {
	got := run(t, "soak", "--print-scenario")
	require.Zero(t, got.code)
	require.Equal(t, string(soak.DefaultScenario), got.stdout)

	mine := filepath.Join(t.TempDir(), "mine.yaml")
	require.NoError(t, os.WriteFile(mine, []byte("faults: {kill: {weight: 1, for: 1s}}\n"), 0o600))
	require.Contains(t, run(t, "soak", "--print-scenario", "--scenario", mine).stdout, "kill: {weight: 1, for: 1s}")
}

func TestSoakRefusesWhatItCannotDo(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("evry: 1s\nfaults: {}\n"), 0o600))
	for want, args := range map[string][]string{
		`"2" for "-n, --agents" flag: want a number from 3 to 26`: {"soak", "--agents", "2"},
		"no such file":             {"soak", "--scenario", bad + "x"},
		"evry":                     {"soak", "--scenario", bad},
		"--socket and --fence":     {"soak", "writer"},
		"unknown flag: --for-ever": {"soak", "--for-ever"},
	} {
		got := run(t, args...)
		require.Equal(t, exitUsage, got.code, "%q", args)
		require.Contains(t, got.stderr, want)
	}
}

func TestSoakExitsApart(t *testing.T) {
	seen := map[int]bool{}
	for _, code := range soakExits {
		seen[code] = true
	}
	require.Len(t, seen, 5)
	require.False(t, seen[exitError] || seen[exitUsage], "these say that there was no soak")
}

// TestProcessesOfASoakOfAMoment runs the real thing for as long as a test may take.
func TestProcessesOfASoakOfAMoment(t *testing.T) {
	dir := t.TempDir()
	scenario := filepath.Join(dir, "scenario.yaml")
	require.NoError(t, os.WriteFile(scenario, []byte("every: 700ms\nfaults:\n  step-down: {weight: 1}\n  kill: {weight: 1, for: 100ms..500ms, goose: 100%}\n"), 0o600))
	out := filepath.Join(dir, "out")
	cmd := exec.Command(binary(t), "soak", "--agents", "3", "--for", "5s", "--seed", "4", "--scenario", scenario, "--out", out)
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.Contains(t, string(text), "every promise kept: 3 agents for 5s, seed 4")

	text, err = os.ReadFile(filepath.Join(out, "report.json"))
	require.NoError(t, err)
	var r soak.Report
	require.NoError(t, json.Unmarshal(text, &r))
	require.Equal(t, soak.Good, r.Verdict)
	require.Positive(t, r.Total())
	require.Positive(t, r.History.Accepted, "every goose writes")
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "every promise kept")
	require.NoDirExists(t, filepath.Join(out, "a"), "disks and sockets are not kept")
	require.FileExists(t, filepath.Join(out, "logs", "a.log"))
}
