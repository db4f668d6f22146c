//go:build linux

package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
)

func TestAThreadThatIsStuckInWait4DelaysNoOther(t *testing.T) {
	const killed = syscall.WaitStatus(unix.SIGKILL)
	r := newReaper()
	r.mu.waits = 2 // as if both were in the kernel
	pid, exit, err := r.startChild(func() (int, error) {
		require.False(t, r.empty.Load(), "a child may be there")
		return 7, nil
	})
	require.NoError(t, err)
	require.Equal(t, 7, pid)
	require.True(t, r.answered(0, 0, 0, syscall.ECHILD))
	require.False(t, r.empty.Load(), "that answer is older than the start")
	r.mu.waits = 2
	require.True(t, r.answered(1, 0, 0, syscall.ECHILD), "the other one has taken the child from the kernel's list, and is still busy")
	require.True(t, r.empty.Load())
	require.Empty(t, exit)
	require.False(t, r.answered(1, 7, killed, nil), "it asks again")
	require.Equal(t, killed, <-exit)
	require.False(t, r.led.Load())
}

func TestAChildThatEndsBeforeItsStartReturnsIsKnown(t *testing.T) {
	r := newReaper()
	_, exit, err := r.startChild(func() (int, error) {
		require.False(t, r.answered(1, 7, 0, nil))
		return 7, nil
	})
	require.NoError(t, err)
	require.Zero(t, <-exit)
	require.False(t, r.led.Load())
	_, _, err = r.startChild(func() (int, error) { return 0, syscall.ENOENT })
	require.ErrorIs(t, err, syscall.ENOENT)
	require.False(t, r.empty.Load(), "nobody has said so since")
}

// TestAStatusThatTheKernelDroppedIsKnownAsSuch: a program counts as killed, and nobody is told so.
func TestAStatusThatTheKernelDroppedIsKnownAsSuch(t *testing.T) {
	r := newReaper()
	_, exit, err := r.startChild(func() (int, error) { return 7, nil })
	require.NoError(t, err)
	r.mu.waits = 1
	require.True(t, r.answered(1, 0, 0, syscall.ECHILD))
	status := <-exit
	require.Equal(t, codeOfSignal+int(unix.SIGKILL), codeOf(status))
	require.Equal(t, "status unknown", endOf(status))
	require.Equal(t, "killed", endOf(syscall.WaitStatus(unix.SIGKILL)))
	require.Equal(t, "exit code 2", endOf(2<<8))
}

func TestNoAnswerOfBeforeAForkSaysThatNothingIsAlive(t *testing.T) {
	r := newReaper()
	r.mu.waits = 2
	var starts int
	_, _, err := r.startChild(func() (int, error) {
		starts = r.mu.starts // which two threads read, who ask before the fork
		require.True(t, r.answered(starts, 0, 0, syscall.ECHILD))
		require.False(t, r.empty.Load())
		return 7, nil
	})
	require.NoError(t, err)
	require.False(t, r.empty.Load())
	require.True(t, r.answered(starts, 0, 0, syscall.ECHILD), "the other one gets its answer late")
	require.False(t, r.empty.Load())
}

// TestTheDeadAreNotLookedAt: a walk over a thousand dead processes delays their reaping by seconds.
// Only a child that lives, though the cgroup is empty, has left that.
func TestTheDeadAreNotLookedAt(t *testing.T) {
	needCgroup(t)
	group, err := newCgroup()
	require.NoError(t, err)
	defer group.remove()
	b := &subtree{reaper: newReaper(), poke: make(chan struct{}, 1), cgroup: group.work()}
	b.size.Store(-1)
	for range reapKills {
		b.kill()
	}
	b.mu.waits = 1
	require.False(t, b.answered(0, 7, 0, nil), "one was dead")
	b.kill()
	require.EqualValues(t, -1, b.size.Load(), "nobody has looked")
	require.True(t, b.answered(0, 0, 0, nil), "another one lives")
	apitest.Eventually(t, func() bool {
		b.kill()
		return b.size.Load() == 0
	}, "a walk")
}

// TestTheDeadAreReapedInTheirOwnTime while all must end. The next start has a status again.
func TestTheDeadAreReapedInTheirOwnTime(t *testing.T) {
	f := slow(t)
	began := filepath.Join(f.dir, "began")
	p := f.start("a", nil, "sh", "-c", `grep SigIgn /proc/self/status >> "$0"; [ $(wc -l < "$0") = 1 ] || exit 7; trap "" TERM; exec sleep 1000`, began)
	first := f.text(began)
	require.False(t, ignoresChildren(t, first))
	guard := fmt.Sprintf("/proc/%d/status", f.guard("a"))
	require.False(t, ignoresChildren(t, readFile(t, guard)))
	f.agent("a", unix.SIGKILL)
	f.until("its end", func() bool { return strings.Contains(f.log(), "all was gone") })
	require.FileExists(t, guard, f.log())
	require.True(t, ignoresChildren(t, readFile(t, guard)))
	a, err := f.flock.Agent("a")
	require.NoError(t, err)
	<-a.Gone()
	require.NoError(t, f.flock.Start("a"))
	require.Equal(t, 7, f.ended(p), f.log())
	require.Equal(t, first+"\n"+first, f.text(began))
}

// ignoresChildren tells whether a status in /proc says that SIGCHLD is ignored.
func ignoresChildren(t *testing.T, status string) bool {
	t.Helper()
	_, after, found := strings.Cut(status, "SigIgn:")
	require.True(t, found, status)
	mask, err := strconv.ParseUint(strings.Fields(after)[0], 16, 64)
	require.NoError(t, err)
	return mask&(1<<(unix.SIGCHLD-1)) != 0
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
