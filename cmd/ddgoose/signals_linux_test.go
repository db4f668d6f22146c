package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// ignores reports whether a process ignores a signal.
func ignores(t *testing.T, pid int, sig syscall.Signal) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if mask, found := strings.CutPrefix(line, "SigIgn:"); found {
			bits, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			require.NoError(t, err)
			return bits&(1<<(sig-1)) != 0
		}
	}
	require.Fail(t, "no SigIgn", "%s", text)
	return false
}

// background starts a command as a script does with nohup CMD &.
func background(args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", `trap "" HUP INT QUIT; exec "$@"`, "sh"}, args...)...)
}

func TestProcessKeepsIgnoringWhatItsStarterIgnored(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	ignored := []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT}
	a := newProcess(t, dir, "a")
	a.spawn(background(binary(t), "agent", "--name", "a", "--bind", "127.0.0.1:0", "--data-dir", a.data, "--socket", a.socket,
		"--profile", "wan")) // a busy machine that ends its lease ends CMD
	a.until("goose", isGoose)
	work := filepath.Join(dir, "work")
	note := "echo $$ > " + work + ".new; mv " + work + ".new " + work + "; exec sleep 600"
	for _, c := range []*process{
		newProcess(t, dir, "run"),
		newProcess(t, dir, "fence"),
	} {
		line := []string{binary(t), c.name, "--socket", a.socket, "--", "sh", "-c", note}
		if c.name == "fence" {
			line = []string{binary(t), c.name, "--file", filepath.Join(dir, "token"), "--token", "1", "--", "sh", "-c", note}
		}
		c.spawn(background(line...))
		var cmd int
		apitest.Eventually(t, func() bool {
			text, _ := os.ReadFile(work) // not there yet
			cmd, _ = strconv.Atoi(strings.TrimSpace(string(text)))
			return cmd != 0
		}, "%s starts CMD: %s", c.name, c.log)
		for _, sig := range ignored {
			require.True(t, ignores(t, c.cmd.Process.Pid, sig), "%s: %v", c.name, sig)
			require.True(t, ignores(t, cmd, sig), "CMD of %s: %v", c.name, sig)
		}
		c.signal(syscall.SIGTERM)
		c.exit()
		require.NoError(t, os.Remove(work))
	}
	for _, sig := range ignored {
		require.True(t, ignores(t, a.cmd.Process.Pid, sig), "agent: %v", sig)
		a.signal(sig)
	}
	a.until("goose still", isGoose)
	a.signal(syscall.SIGTERM)
	require.Zero(t, a.exit(), a.log)
	require.NotContains(t, a.log.String(), "reload")
}

func TestProcessListensToSignalsThatNobodyIgnored(t *testing.T) {
	t.Parallel()
	a := startAgent(t, shortDir(t), "a")
	a.until("goose", isGoose)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		require.False(t, ignores(t, a.cmd.Process.Pid, sig), sig)
	}
}
