package main

import (
	"testing"

	"github.com/stretchr/testify/require"
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
		{exitUsage, "grace", []string{"run", "--socket", socket, "--grace", "-1s", "--", "true"}},
		{exitUsage, "unknown flag", []string{"run", "--socket", socket, "--no-such-flag", "--", "true"}},
		{exitNoCommand, "no-such-command", []string{"run", "--socket", socket, "--", "no-such-command"}},
		{exitNotRunnable, "permission denied", []string{"run", "--socket", socket, "--", "/etc/passwd"}},
		{exitError, "can be handed files only", []string{"run", "--socket", socket, "--", "true"}},
		{exitUsage, "there is no none.sock", []string{"run", "--socket", "none", "--", "true"}},
	} {
		got := run(t, tc.args...)
		require.Equal(t, tc.code, got.code, "%q: %s", tc.args, got.stderr)
		require.Contains(t, got.stderr, tc.says, "%q", tc.args)
	}
}
