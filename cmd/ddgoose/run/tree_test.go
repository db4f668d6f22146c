//go:build linux

package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
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
	scanned := childrenByScan()(process{pid: cmd.Process.Pid})
	asked := childrenByTask(process{pid: cmd.Process.Pid, threads: 1})
	require.ElementsMatch(t, asked, childrenByTask(process{pid: cmd.Process.Pid}), "or of each thread")
	require.Len(t, scanned, 2)
	require.ElementsMatch(t, scanned, asked)
	require.True(t, slices.ContainsFunc(descendants(os.Getpid()), func(p process) bool {
		return p.pid == scanned[0] && p.parent == cmd.Process.Pid && p.group == cmd.Process.Pid
	}))
}

func TestLookReadsNamesThatLookLikeFields(t *testing.T) {
	p, ok := look(os.Getpid())
	require.True(t, ok)
	require.Greater(t, p.threads, 1)
	p.threads = 0
	require.Equal(t, process{pid: os.Getpid(), parent: os.Getppid(), group: unix.Getpgrp()}, p)
	_, ok = look(1 << 30)
	require.False(t, ok)
}

// descendants lists what lives below a process.
func descendants(of int) (found []process) {
	walk(of, func(p process) { found = append(found, p) })
	return found
}

// TestNothingGetsAway kills what forks as fast as it can, in sessions of its
// own, through a subtree in another process: this one would adopt the test's own.
func TestNothingGetsAway(t *testing.T) {
	for name, script := range map[string]string{
		"sessions": `while :; do (setsid sleep 1000 &) ; done`,
		"spread":   `f() { while :; do (setsid sh -c 'sleep 1000 & sleep 1000' &) ; sleep 0.01; done; }; f & f & f`,
		"group":    `f() { if [ $1 -gt 7 ]; then exec sleep 1000; fi; f $(($1+1)) & f $(($1+1)) & wait; }; f 0`,
		"stopped":  `sleep 1000 & kill -STOP $!; (setsid sh -c 'kill -STOP $$' &); kill -STOP $$`,
	} {
		for _, cgroups := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, cgroups %v", name, cgroups), func(t *testing.T) {
				f := alone(t)
				if !cgroups {
					f.withoutCgroups()
				}
				p := f.start("a", []string{"--grace", "0s"}, "sh", "-c", script)
				f.until("its children", func() bool { return len(descendants(p.cmd.Process.Pid)) > 3 })
				require.NotEmpty(t, withEnvironment(t, childEnv+"="+f.dir))
				started := time.Now()
				require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
				require.Equal(t, CodeStopped, f.ended(p), f.log())
				t.Logf("all gone %v after SIGTERM", time.Since(started).Round(time.Millisecond))
				require.Empty(t, withEnvironment(t, childEnv+"="+f.dir), "left behind")
			})
		}
	}
}

// withEnvironment lists the processes that were started with a variable set so.
func withEnvironment(t *testing.T, variable string) (found []string) {
	t.Helper()
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	require.NoError(t, err)
	for _, path := range environs {
		text, err := os.ReadFile(path)
		if err == nil && slices.Contains(strings.Split(string(text), "\x00"), variable) {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}

// withoutCgroups has the next runs find no cgroup of version 2, so that they walk.
func (f *farm) withoutCgroups() {
	f.t.Helper()
	parent, err := ownCgroup()
	if err != nil || os.Geteuid() != 0 {
		return // there are none, or a plain user can make none
	}
	wrapper := filepath.Join(f.dir, "walks")
	script := "#!/bin/sh\nexec unshare --mount sh -c 'umount --lazy " + mountOf(f.t, parent) + ` && exec "$0" "$@"' ` + f.binary + " \"$@\"\n"
	apitest.WriteExecutable(f.t, wrapper, script)
	f.binary = wrapper
}

// TestProcessesOfAnotherUserDoNotGetAway: a program that root starts may become another user (setuid(2)).
func TestProcessesOfAnotherUserDoNotGetAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may become another user")
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skipf("SKIPPED: nothing here becomes another user: %v", err)
	}
	for _, ends := range []string{"cgroup.kill", "SIGKILL to each process (no writable cgroup)"} {
		t.Run(ends, func(t *testing.T) {
			if ends == "cgroup.kill" {
				needCgroup(t)
			}
			f := alone(t)
			if ends != "cgroup.kill" {
				f.withoutCgroups()
			}
			p := f.start("a", []string{"--grace", "0s"}, "sh", "-c",
				`setsid setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'sleep 1000 & (setsid sleep 1000 &); wait' & (sleep 1000 &); wait`)
			f.until("processes of another user", func() bool {
				others := 0
				for _, pid := range withEnvironment(t, childEnv+"="+f.dir) {
					var is unix.Stat_t
					if unix.Stat("/proc/"+pid, &is) == nil && is.Uid == nobody {
						others++
					}
				}
				return others >= 3
			})
			require.Equal(t, ends, f.shown("a")[0].Ends)
			require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
			require.Equal(t, CodeStopped, f.ended(p), f.log())
			require.Empty(t, withEnvironment(t, childEnv+"="+f.dir), "left behind")
		})
	}
}

// TestAPlainUsersCommandGainsNoPrivileges: run could not kill what sudo starts.
func TestAPlainUsersCommandGainsNoPrivileges(t *testing.T) {
	if os.Geteuid() == 0 {
		asUser(t, nobody, t.Name())
		return
	}
	if c, err := newCgroup(); err == nil {
		c.remove()
		t.Skip("SKIPPED: this user may make a cgroup, which kills whatever it becomes")
	}
	f := alone(t)
	require.Equal(t, 0, f.ended(f.start("a", nil, "grep", "-x", "NoNewPrivs:\t1", "/proc/self/status")), f.log())
}
