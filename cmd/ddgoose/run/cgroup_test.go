//go:build linux

package run

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestFindCgroupReadsWhatSystemsShow(t *testing.T) {
	unified := "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	hybrid := "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" + "32 30 0:28 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n"
	part := "30 23 0:26 /user.slice /mnt/cg rw - cgroup2 cgroup2 rw\n"
	for _, c := range []struct{ mounts, own, want string }{
		{unified, "0::/system.slice/x.service\n", "/sys/fs/cgroup/system.slice/x.service"},
		{unified, "0::/\n", "/sys/fs/cgroup"},
		{hybrid, "4:cpu:/elsewhere\n0::/x\n", "/sys/fs/cgroup/uni fied/x"},
		{part, "0::/user.slice/a b\n", "/mnt/cg/a b"},
		{part, "0::/system.slice\n", ""}, // not below what is mounted
		{part + unified, "0::/system.slice\n", "/sys/fs/cgroup/system.slice"},
		{unified, "0::/../outside\n", ""}, // of this cgroup namespace
		{"", "0::/\n", ""},
		{unified, "4:cpu:/\n", ""},
	} {
		got, err := findCgroup(c.mounts, c.own)
		require.Equal(t, c.want, got)
		require.Equal(t, c.want == "", err != nil)
	}
}

// needCgroup skips a test where this process may make no cgroup that kills.
func needCgroup(t *testing.T) (parent string) {
	t.Helper()
	c, err := newCgroup()
	if err != nil {
		t.Skipf("run uses no cgroup here: %v", err)
	}
	require.False(t, c.populated())
	c.remove()
	require.NoDirExists(t, c.dir)
	return filepath.Dir(c.dir)
}

func TestCommandsCgroupIsKilledWithAllBelowItAndRemoved(t *testing.T) {
	parent := needCgroup(t)
	f := alone(t)
	out := filepath.Join(f.dir, "out")
	p := f.start("a", []string{"--grace", "0s"}, "sh", "-c", `
		own=$1$(sed -n 's/^0:://p' /proc/self/cgroup) && mkdir "$own/below" && setsid sleep 1000 & (sleep 1001 &)
		own=$1$(sed -n 's/^0:://p' /proc/self/cgroup)
		until echo $! > "$own/below/cgroup.procs"; do sleep 0.01; done; echo "$own" > "$0"; wait`, out, mountOf(t, parent))
	work := f.text(out)
	require.Equal(t, filepath.Join(parent, cgroupPrefix+strconv.Itoa(p.cmd.Process.Pid), "work"), work)
	text, err := os.ReadFile(filepath.Join(work, "below", "cgroup.procs"))
	require.NoError(t, err)
	require.NotEmpty(t, text)
	require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(p), f.log())
	require.Empty(t, withEnvironment(t, childEnv+"="+f.dir), "left behind")
	require.NoDirExists(t, filepath.Dir(work))
}

// mountOf is where the hierarchy of a cgroup folder of this process begins.
func mountOf(t *testing.T, own string) string {
	t.Helper()
	root := own
	for {
		up := filepath.Dir(root)
		if _, err := os.Stat(filepath.Join(up, "cgroup.procs")); err != nil {
			return root
		}
		root = up
	}
}

func TestCgroupOfAKilledRunIsRemovedByTheNext(t *testing.T) {
	parent := needCgroup(t)
	f := alone(t)
	p := f.start("a", nil, self(t), "stubborn")
	f.working(0, 0)
	left := filepath.Join(parent, cgroupPrefix+strconv.Itoa(p.cmd.Process.Pid))
	require.DirExists(t, left)
	guard := f.guard("a")
	require.NoError(t, p.cmd.Process.Kill())
	<-p.gone
	f.until("the end of the guard", func() bool { return unix.Kill(guard, 0) == unix.ESRCH })
	require.Equal(t, 0, f.ended(f.start("a", nil, "true")), f.log())
	require.NoDirExists(t, left)
}

// TestTheNextRunKillsWhatOutlivedAgentRunAndGuard: once all three are killed, nobody else is left to do it.
func TestTheNextRunKillsWhatOutlivedAgentRunAndGuard(t *testing.T) {
	needCgroup(t)
	f := alone(t)
	out := filepath.Join(f.dir, "out")
	p := f.start("a", nil, "sh", "-c", `setsid sleep 1000 & echo $! > "$0"; wait`, out)
	left, err := strconv.Atoi(f.text(out))
	require.NoError(t, err)
	guard := f.guard("a")
	f.agent("a", unix.SIGSTOP)
	for _, sig := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} {
		require.NoError(t, unix.Kill(guard, sig))
		require.NoError(t, p.cmd.Process.Signal(sig))
	}
	<-p.gone
	f.until("the end of the guard", func() bool { return unix.Kill(guard, 0) == unix.ESRCH })
	require.NoError(t, f.flock.Hold(t.Context(), "a"))
	require.NoError(t, f.flock.Start("a"))
	require.Equal(t, 0, f.ended(f.start("a", nil, "true")), f.log())
	f.until("the end of what was left", func() bool { return unix.Kill(left, 0) == unix.ESRCH })
}

func TestNothingStartsInACgroupThatWasRemovedMeanwhile(t *testing.T) {
	needCgroup(t)
	group, err := newCgroup()
	require.NoError(t, err)
	defer group.remove()
	b := &subtree{reaper: newReaper(), jobs: make(chan func()), poke: make(chan struct{}, 1), cgroup: group.work(), into: group.work()}
	c := &command{b, []string{"true"}}
	outcomes := c.start(nil)
	job := <-b.jobs
	c.kill()
	c.barred.Store(false) // as if the kill came between the look at it and the start
	job()
	require.False(t, c.led.Load(), "the kernel refuses")
	require.Error(t, (<-outcomes).err)
	require.True(t, c.gone())
}
