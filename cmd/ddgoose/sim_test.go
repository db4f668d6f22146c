package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func runSim(t *testing.T, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = ddgoose(context.Background(), append([]string{"sim"}, args...), bytes.NewReader(nil), &out, &errs)
	return code, out.String(), errs.String()
}

func TestSimTellsWhatHappened(t *testing.T) {
	code, out, errs := runSim(t, "--seed", "1", "--agents", "3", "--for", "5s")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "every promise was kept, seed 1\nP1  kept ")
	require.Contains(t, out, "goose periods")
	require.Regexp(t, `^(\d+ %, .* left: seed 1\n)*$`, errs, "a busy machine sees how far it is")
	code, again, _ := runSim(t, "--seed", "1", "--agents", "3", "--for", "5s")
	require.Equal(t, 0, code)
	require.Equal(t, out, again)
	code, out, _ = runSim(t, "--seed", "1", "--seeds", "2", "--agents", "3", "--for", "5s", "--json")
	require.Equal(t, 0, code, out)
	var answer simAnswer
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	require.Equal(t, "kept", answer.Verdict)
	require.Equal(t, 2, answer.Stats.Runs)
}

func TestSimListsAndRunsScenarios(t *testing.T) {
	code, out, _ := runSim(t, "--list")
	require.Equal(t, 0, code)
	require.Contains(t, out, "quorum-loss")
	code, out, _ = runSim(t, "--scenario", "failover", "--seed", "1")
	require.Equal(t, 0, code, out)
}

func TestSimTellsWhatBrokeAndHowToReplayIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.txt")
	require.NoError(t, os.WriteFile(file, []byte("# wishful\nagents 3\nat 5s expect none\n"), 0o600))
	code, out, _ := runSim(t, "--scenario", file, "--seed", "3")
	require.Equal(t, exitUnalive, code)
	require.Contains(t, out, "liveness after 5s of virtual time: at 5s expect none: it is ")
	require.Contains(t, out, "the last events:")
	require.Contains(t, out, "replay: ddgoose sim --scenario "+file+" --seed 3")
}

func TestSimRefusesWhatCannotBe(t *testing.T) {
	for want, args := range map[string][]string{
		`"900" for "-n, --agents" flag: want a number from 1 to 500`: {"--agents", "900"},
		`"0" for "--seeds" flag: want a number from 1 to 1000000`:    {"--seeds", "0"},
		`fault "plague": want some of crash`:                         {"--faults", "plague"},
		`only "one": "one" is not a number from 0 on`:                {"--only", "one"},
		"lease 60ms: want 4 heartbeats or more":                      {"--lease", "60ms"},
		`scenario "nowhere": it is neither in`:                       {"--scenario", "nowhere"},
	} {
		code, _, errs := runSim(t, args...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, errs, want)
	}
}
