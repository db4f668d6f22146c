//go:build linux

package run

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
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
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
			resetPriority(process{pid: cmd.Process.Pid, threads: threads})
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
	frozen := filepath.Join(freezer, fmt.Sprintf("ddgoose-frozen-%d", os.Getpid()))
	if err := os.Mkdir(frozen, 0o755); err != nil {
		t.Skipf("SKIPPED: no cgroups of version 1 can be made here: %v", err)
	}
	t.Cleanup(func() { apitest.Eventually(t, func() bool { return unix.Rmdir(frozen) == nil }, "its end") })
	set := func(file, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(frozen, file), []byte(text), 0))
	}
	for name, kill := range map[string]func(*cgroup){
		"a command":   func(c *cgroup) { (&subtree{reaper: newReaper(), poke: make(chan struct{}, 1), cgroup: c}).kill() },
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

// TestWhatIsKilledGetsTheUsualShareOfTheProcessors: its cgroup, and those below it, of each version.
func TestWhatIsKilledGetsTheUsualShareOfTheProcessors(t *testing.T) {
	bounds := map[string][]string{ // name: as it was made, as it is after the kill
		"cpu.idle": {"1", "0"}, "cpu.weight": {"1", "100"}, "cpu.max": {"1000 100000", "max"},
		"cpu.shares": {"2", "1024"}, "cpu.cfs_quota_us": {"1000", "-1"},
	}
	text := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return strings.TrimSpace(string(text))
	}
	fake := t.TempDir() // not every machine has version 2 for this
	below := filepath.Join(fake, "below")
	require.NoError(t, os.Mkdir(below, 0o700))
	for _, dir := range []string{fake, below} {
		for name, is := range bounds {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(is[0]), 0o600))
		}
	}
	require.True(t, hasShare(fake))
	(&processes{cpu: fake}).kill()
	for name, is := range bounds {
		require.Equal(t, []string{is[1], is[1]}, []string{text(filepath.Join(fake, name)), text(filepath.Join(below, name))}, name)
	}
	require.NoError(t, os.WriteFile(filepath.Join(fake, "cpu.weight"), []byte("500"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(fake, "cpu.shares")))
	(&processes{cpu: fake}).kill()
	require.Equal(t, "500", text(filepath.Join(fake, "cpu.weight")), "none is taken away")
	require.NoFileExists(t, filepath.Join(fake, "cpu.shares"))

	name := fmt.Sprintf("ddgoose-share-%d", os.Getpid())
	real := filepath.Join("/sys/fs/cgroup/cpu", name)
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Skipf("SKIPPED: no cgroups of version 1 can be made here: %v", err)
	}
	defer func() { require.NoError(t, unix.Rmdir(real)) }()
	for _, name := range []string{"cpu.shares", "cpu.cfs_quota_us"} {
		require.NoError(t, os.WriteFile(filepath.Join(real, name), []byte(bounds[name][0]), 0))
	}
	p := findProcesses("3:cpu,cpuacct:/" + name)
	require.Equal(t, &processes{cgroup: cgroup{real}, cpu: real}, p)
	p.kill()
	for _, name := range []string{"cpu.shares", "cpu.cfs_quota_us"} {
		require.Equal(t, bounds[name][1], text(filepath.Join(real, name)), name)
	}
}
