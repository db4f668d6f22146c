package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// firstProcess makes a command the first process of a PID namespace.
func firstProcess(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
	}
	probe := exec.Command("true")
	probe.SysProcAttr = cmd.SysProcAttr
	if err := probe.Run(); err != nil {
		t.Skipf("this machine makes no PID namespaces: %v", err)
	}
}

// descendantsOf counts the processes below one, dead ones that nobody has reaped included.
func descendantsOf(pid int) (n int) {
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list) // the thread may have ended
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				n += 1 + descendantsOf(child)
			}
		}
	}
	return n
}

func TestFirstProcessOfAContainerReapsOrphansAndPassesSignalsOn(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	a := newProcess(t, dir, "a")
	orphans := filepath.Join(dir, "orphans")
	cmd := exec.Command(binary(t), "agent", "--name", "a", "--bind", "127.0.0.1:0", "--data-dir", a.data, "--socket", a.socket,
		"--on", "change=(setsid sh -c 'echo one >> "+orphans+"' &); exit 3")
	firstProcess(t, cmd)
	a.spawn(cmd)
	for range 2 {
		token := a.until("goose", isGoose).Token
		require.Zero(t, call(t, "simulate", "death", "--for", "100ms", "--socket", a.socket, "--timeout", soon.String()).code)
		a.until("goose again", func(s api.Status) bool { return isGoose(s) && s.Token > token })
	}
	apitest.Eventually(t, func() bool {
		text, _ := os.ReadFile(orphans) // not there yet
		return strings.Count(string(text), "one") >= 3
	}, "hooks leave orphans")
	apitest.Eventually(t, func() bool { return descendantsOf(cmd.Process.Pid) == 1 }, "only the agent is left")
	require.Contains(t, a.log.String(), "exit status 3", "a hook's own exit code is not reaped with the rest")
	a.signal(syscall.SIGTERM)
	require.Zero(t, a.exit(), a.log)
	require.Contains(t, a.log.String(), "msg=stopped")
}

func TestFirstProcessOfAContainerEndsWithTheExitCodeOfItsCommand(t *testing.T) {
	t.Parallel()
	for script, code := range map[string]int{"exit 7": 7, "kill -KILL $PPID": exitSignalled + int(syscall.SIGKILL)} {
		cmd := exec.Command(binary(t), "fence", "--file", filepath.Join(shortDir(t), "token"), "--token", "1", "--", "sh", "-c", script)
		firstProcess(t, cmd)
		_ = cmd.Run() // its code says it
		require.Equal(t, code, cmd.ProcessState.ExitCode(), script)
	}
}
