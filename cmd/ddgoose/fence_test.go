package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/fence"
)

// fenced runs ddgoose fence as a process, with this environment besides.
func fenced(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	cmd := exec.Command(binary(t), append([]string{"fence"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestFenceRunsTheCommandUnlessANewerTokenWasSeen(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	require.Equal(t, outcome{0, "acted\n", ""}, fenced(t, nil, "--file", state, "--token", "7", "--", "echo", "acted"))
	require.Equal(t, outcome{0, "--file\n", ""}, fenced(t, nil, "--file", state, "--token", "7", "echo", "--file"), "CMD's flags are its own")
	require.Equal(t, outcome{9, "", ""}, fenced(t, nil, "--file", state, "--token", "9", "--", "sh", "-c", "exit 9"))
	require.Equal(t, outcome{143, "", ""}, fenced(t, nil, "--file", state, "--token", "9", "--", "sh", "-c", "kill -TERM $$"))
	got := fenced(t, nil, "--file", state, "--token", "8", "--", "echo", "acted")
	require.Equal(t, exitRefused, got.code)
	require.Empty(t, got.stdout)
	require.Equal(t, "ddgoose: fence "+state+": token 8 is refused: token 9 has been seen, so a newer goose is at work\n", got.stderr)
}

func TestFenceComparesFlocks(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	require.Zero(t, fenced(t, nil, "--file", state, "--token", "7", "--flock-id", "c0", "--", "true").code)
	got := fenced(t, nil, "--file", state, "--token", "8", "--flock-id", "d1", "--", "true")
	require.Equal(t, exitRefused, got.code)
	require.Contains(t, got.stderr, "flock d1 is refused")
	require.Contains(t, got.stderr, "flock c0")
}

func TestFenceTakesALeapForAMistakeUnlessForced(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	require.Zero(t, fenced(t, nil, "--file", state, "--token", "7", "--", "true").code)
	got := fenced(t, nil, "--file", state, "--token", "70000000", "--", "true")
	require.Equal(t, exitRefused, got.code)
	require.Contains(t, got.stderr, "token 70000000 is refused: too far ahead to come from a goose: the highest seen is 7 (--force lets it pass)")
	require.Zero(t, fenced(t, nil, "--file", state, "--token", "8", "--", "true").code, "nothing was noted")
	require.Zero(t, fenced(t, nil, "--file", state, "--token", "70000000", "--force", "--", "true").code)
}

func TestFenceTakesWhatRunSetsFromTheEnvironment(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	env := []string{"DDGOOSE_TOKEN=7", "DDGOOSE_FLOCK_ID=c0"}
	require.Zero(t, fenced(t, env, "--file", state, "--", "true").code)
	require.Equal(t, exitRefused, fenced(t, []string{"DDGOOSE_TOKEN=6"}, "--file", state, "--", "true").code)
	require.Equal(t, exitRefused, fenced(t, []string{"DDGOOSE_TOKEN=8", "DDGOOSE_FLOCK_ID=d1"}, "--file", state, "--", "true").code)
	require.Zero(t, fenced(t, []string{"DDGOOSE_TOKEN=6"}, "--file", state, "--token", "8", "--", "true").code, "a flag goes before")
	got := fenced(t, []string{"DDGOOSE_TOKEN=seven"}, "--file", state, "--", "true")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, `DDGOOSE_TOKEN "seven": want a number from 1 to 9007199254740991`)
}

func TestFenceSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	corrupt := filepath.Join(dir, "corrupt")
	require.NoError(t, os.WriteFile(corrupt, []byte("7"), 0o600))
	plain := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	linked := filepath.Join(dir, "linked")
	require.NoError(t, os.WriteFile(linked, nil, 0o600))
	require.NoError(t, os.Link(linked, linked+".too"))
	state := filepath.Join(dir, "state")
	for _, tc := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, "--file STATE", []string{"--token", "7", "--", "true"}},
		{exitUsage, "--token N", []string{"--file", state, "--", "true"}},
		{exitUsage, "want a number from 1 to 9007199254740991", []string{"--file", state, "--token", "0", "--", "true"}},
		{exitUsage, "want a number from 1 to 9007199254740991", []string{"--file", state, "--token", "9007199254740992", "--", "true"}},
		{exitNoFence, "it is a link", []string{"--file", linked, "--token", "7", "--", "true"}},
		{exitUsage, "want a time above 0", []string{"--file", state, "--token", "1", "--wait", "-1s", "--", "true"}},
		{exitUsage, "name a command", []string{"--file", state, "--token", "7"}},
		{exitNoFence, "corrupt", []string{"--file", corrupt, "--token", "7", "--", "true"}},
		{exitNoFence, "no such file", []string{"--file", filepath.Join(dir, "no", "state"), "--token", "7", "--", "true"}},
		{exitNoCommand, "not found", []string{"--file", state, "--token", "7", "--", "no-such-command"}},
		{exitNotRunnable, "permission denied", []string{"--file", state, "--token", "7", "--", plain}},
	} {
		got := fenced(t, nil, tc.args...)
		require.Equal(t, tc.code, got.code, "%q: %s", tc.args, got.stderr)
		require.Contains(t, got.stderr, tc.says, "%q", tc.args)
		require.Equal(t, 1, strings.Count(got.stderr, "\n"), got.stderr)
	}
	require.NoFileExists(t, state, "nothing was noted by any of them")
}

// TestFenceStaysClosedWhileTheCommandLives: fence itself is killed, its command is not.
func TestFenceStaysClosedWhileTheCommandLives(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	begun := state + ".begun"
	first := exec.Command(binary(t), "fence", "--file", state, "--token", "5", "--", "sh", "-c", `echo $$ > "$0.new"; mv "$0.new" "$0"; exec sleep 1000`, begun)
	first.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, first.Start())
	defer func() { _ = syscall.Kill(-first.Process.Pid, syscall.SIGKILL) }() // sleep, if the test failed
	require.Eventually(t, func() bool { _, err := os.Stat(begun); return err == nil }, soon, 5*time.Millisecond)
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait(), "killed")

	got := fenced(t, nil, "--file", state, "--token", "7", "--wait", "50ms", "--", "echo", "acted")
	require.Equal(t, exitWaited, got.code)
	require.Contains(t, got.stderr, "an older goose is still at work: waited 50ms (--wait)")
	require.ErrorIs(t, fence.Check(state, 6), fence.ErrStale, "7 was noted all the same")

	second := exec.Command(binary(t), "fence", "--file", state, "--token", "7", "--", "echo", "acted")
	var out bytes.Buffer
	second.Stdout = &out
	require.NoError(t, second.Start())
	require.NoError(t, syscall.Kill(-first.Process.Pid, syscall.SIGKILL))
	require.NoError(t, second.Wait())
	require.Equal(t, "acted\n", out.String())
}

func TestFenceLeavesAHangUpIgnoredBelowNohup(t *testing.T) {
	over := filepath.Join(t.TempDir(), "over")
	cmd := exec.Command("sh", "-c", `trap "" HUP; exec "$@"`, "nohup", binary(t), "fence", "--file", over+".state", "--token", "5", "--", "sh", "-c", `kill -HUP $$; echo begun; until [ -e "$0" ]; do sleep 0.02; done; exit 7`, over)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	require.NoError(t, os.WriteFile(over, nil, 0o600))
	require.Error(t, cmd.Wait())
	require.Equal(t, 7, cmd.ProcessState.ExitCode())
}

func TestFencePassesSignalsOn(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	cmd := exec.Command(binary(t), "fence", "--file", state, "--token", "5", "--", "sh", "-c", `trap "exit 5" TERM; echo begun; while :; do sleep 0.02; done`)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, cmd.Wait())
	require.Equal(t, 5, cmd.ProcessState.ExitCode())
}
