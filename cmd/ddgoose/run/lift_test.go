//go:build linux

package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestTheKilledGetTheUsualPriority: not more, and none is taken away.
func TestTheKilledGetTheUsualPriority(t *testing.T) {
	needFavour(t)
	for _, c := range []struct{ is, want unix.SchedAttr }{
		{unix.SchedAttr{Policy: unix.SCHED_IDLE}, unix.SchedAttr{}},
		{unix.SchedAttr{Nice: 19}, unix.SchedAttr{}},
		{unix.SchedAttr{Policy: unix.SCHED_BATCH, Nice: 5}, unix.SchedAttr{}},
		{unix.SchedAttr{Policy: unix.SCHED_BATCH}, unix.SchedAttr{Policy: unix.SCHED_BATCH}},
		{unix.SchedAttr{Nice: -3}, unix.SchedAttr{Nice: -3}},
	} {
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		require.NoError(t, cmd.Start())
		require.NoError(t, unix.SchedSetAttr(cmd.Process.Pid, &c.is, 0))
		for _, threads := range []int{1, 2} { // as it is listed, and by a look
			liftProcess(process{pid: cmd.Process.Pid, threads: threads})
			got := attrOf(t, strconv.Itoa(cmd.Process.Pid))
			require.Equal(t, c.want, unix.SchedAttr{Policy: got.Policy, Nice: got.Nice}, "%+v", c.is)
		}
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait(), "killed")
	}
}

// TestWhatIsKilledByItsCgroupIsLifted: a frozen process shows it before it can end.
func TestWhatIsKilledByItsCgroupIsLifted(t *testing.T) {
	needFavour(t)
	const freezer = "/sys/fs/cgroup/freezer"
	frozen := filepath.Join(freezer, fmt.Sprintf("ddgoose-lift-%d", os.Getpid()))
	if err := os.Mkdir(frozen, 0o755); err != nil {
		t.Skipf("SKIPPED: no cgroups of version 1 can be made here: %v", err)
	}
	t.Cleanup(func() { soon(t, "its end", func() bool { return unix.Rmdir(frozen) == nil }) })
	set := func(file, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(frozen, file), []byte(text), 0))
	}
	for name, kill := range map[string]func(*cgroup){
		"a command":   func(c *cgroup) { (&brood{reaper: newReaper(), poke: make(chan struct{}, 1), cgroup: c}).kill() },
		"a container": func(c *cgroup) { (&processes{cgroup: *c}).kill() },
	} {
		t.Run(name, func(t *testing.T) {
			e := newFakeEngine(t)
			p := e.process()
			pid := strconv.Itoa(p.Process.Pid)
			require.NoError(t, unix.SchedSetAttr(p.Process.Pid, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0))
			set("cgroup.procs", pid)
			set("freezer.state", "FROZEN")
			defer func() {
				set("freezer.state", "THAWED")
				require.Error(t, p.Wait(), "it was killed")
			}()
			kill(&cgroup{filepath.Join(needCgroup(t), e.id())})
			require.Equal(t, uint32(unix.SCHED_NORMAL), attrOf(t, pid).Policy)
		})
	}
}
