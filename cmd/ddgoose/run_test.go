package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	runner "duckduckgoose/cmd/ddgoose/run"
)

// What run does is tested in its package, with real processes; here is what it refuses.
func TestRunSaysWhatIsWrong(t *testing.T) {
	_, socket := fake(t)
	for _, tc := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, "name a command", []string{"run", "--socket", socket}},
		{exitUsage, "name a command", []string{"run", "--socket", socket, "--"}},
		{exitUsage, `"-1s" for "--grace" flag: want a time of 0s or more with its unit, as 10s`, []string{"run", "--socket", socket, "--grace", "-1s", "--", "true"}},
		{exitUsage, `"1x" for "--grace" flag: want a time of 0s or more`, []string{"run", "--socket", socket, "--grace", "1x", "--", "true"}},
		{exitUsage, `"0s" for "--slot" flag: want a time of 1s or more with its unit, as 1m`, []string{"run", "--socket", socket, "--slot", "0s", "--", "true"}},
		{exitUsage, `"0" for "--slot" flag: want a time of 1s or more`, []string{"run", "--socket", socket, "--slot", "0", "--", "true"}},
		{exitUsage, `"" for "--slot" flag: want a time of 1s or more`, []string{"run", "--socket", socket, "--slot", "", "--", "true"}},
		{exitUsage, `"999ms" for "--slot" flag: want a time of 1s or more`, []string{"run", "--socket", socket, "--slot", "999ms", "--", "true"}},
		{exitUsage, `"-1s" for "--jitter" flag: want a time of 0s or more`, []string{"run", "--socket", socket, "--jitter", "-1s", "--", "true"}},
		{exitUsage, "jitter 1s: want --slot with it", []string{"run", "--socket", socket, "--jitter", "1s", "--", "true"}},
		{exitUsage, "jitter 2s: want at most the slot, 1s", []string{"run", "--socket", socket, "--slot", "1s", "--jitter", "2s", "--", "true"}},
		{exitUsage, "unknown flag", []string{"run", "--socket", socket, "--no-such-flag", "--", "true"}},
		{exitUsage, "want one of a command", []string{"run", "--socket", socket, "--container", "web", "--", "true"}},
		{exitUsage, "want NAME.service", []string{"run", "--socket", socket, "--unit", "web"}},
		{exitUsage, "want one of a command", []string{"run", "--socket", socket, "--unit", "web.service", "--container", "web"}},
		{exitNoCommand, "no-such-command", []string{"run", "--socket", socket, "--", "no-such-command"}},
		{exitNotRunnable, "permission denied", []string{"run", "--socket", socket, "--", "/etc/passwd"}},
		{exitError, "must be files", []string{"run", "--socket", socket, "--", "true"}},
		{exitUsage, "there is no none.sock", []string{"run", "--socket", "none", "--", "true"}},
		{exitUsage, "want a time of 0s or more", []string{"run", "--socket", socket, "--try", "-1s", "--", "true"}},
		{runner.CodeNotGoose, "there is no none.sock", []string{"run", "--socket", "none", "--try", "0s", "--", "true"}},
		{runner.CodeNotGoose, "", []string{"run", "--socket", "none", "--try", "0s", "-q", "--", "true"}},
	} {
		got := run(t, tc.args...)
		require.Equal(t, tc.code, got.code, "%q: %s", tc.args, got.stderr)
		require.Contains(t, got.stderr, tc.says, "%q", tc.args)
		require.Equal(t, tc.says == "", got.stderr == "", "%q: %s", tc.args, got.stderr)
	}
}

func TestRunNamesTheFormThatEndsWhatACommandStarts(t *testing.T) {
	for _, command := range []string{"docker", "/usr/bin/podman", "nerdctl"} {
		require.Contains(t, betterForm(command), "ddgoose run --container NAME")
	}
	require.Contains(t, betterForm("systemctl"), "ddgoose run --unit NAME.service")
	require.Empty(t, betterForm("/usr/local/bin/docker-like"))
}
