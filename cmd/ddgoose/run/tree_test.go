//go:build linux

package run

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestBothWaysToFindChildrenAgree(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		require.NoError(t, unix.Kill(-cmd.Process.Pid, unix.SIGKILL))
		require.Error(t, cmd.Wait(), "killed")
	}()
	_, err = out.Read(make([]byte, 10))
	require.NoError(t, err)
	scanned := childrenByScan()(cmd.Process.Pid)
	asked := childrenByTask(cmd.Process.Pid)
	require.Len(t, scanned, 2)
	require.ElementsMatch(t, scanned, asked)
	require.True(t, slices.ContainsFunc(descendants(os.Getpid()), func(p process) bool {
		return p.pid == scanned[0] && p.parent == cmd.Process.Pid && p.group == cmd.Process.Pid
	}))
}

func TestLookReadsNamesThatLookLikeFields(t *testing.T) {
	p, ok := look(os.Getpid())
	require.True(t, ok)
	require.Equal(t, process{pid: os.Getpid(), parent: os.Getppid(), group: unix.Getpgrp()}, p)
	_, ok = look(1 << 30)
	require.False(t, ok)
}

// TestNothingGetsAway kills what forks as fast as it can, in sessions of its
// own, through a brood in another process: this one would adopt the test's own.
func TestNothingGetsAway(t *testing.T) {
	for name, script := range map[string]string{
		"sessions": `while :; do (setsid sleep 1000 &) ; done`,
		"spread":   `f() { while :; do (setsid sh -c 'sleep 1000 & sleep 1000' &) ; sleep 0.01; done; }; f & f & f`,
		"group":    `f() { f | f & }; ulimit -u 4000; i=0; while [ $i -lt 50 ]; do sleep 1000 & i=$((i+1)); done; wait`,
		"stopped":  `sleep 1000 & kill -STOP $!; (setsid sh -c 'kill -STOP $$' &); kill -STOP $$`,
	} {
		t.Run(name, func(t *testing.T) {
			f := alone(t)
			p := f.start("a", []string{"--grace", "0s"}, "sh", "-c", script)
			f.until("its children", func() bool { return len(descendants(p.cmd.Process.Pid)) > 3 })
			started := time.Now()
			require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
			require.Equal(t, CodeStopped, f.ended(p), f.log())
			t.Logf("all gone %v after SIGTERM", time.Since(started).Round(time.Millisecond))
			out, err := exec.Command("pgrep", "-f", "^sleep 1000$", "--env", childEnv+"="+f.dir).CombinedOutput()
			if err == nil {
				require.Fail(t, "left behind", "%s", strings.TrimSpace(string(out)))
			}
		})
	}
}
