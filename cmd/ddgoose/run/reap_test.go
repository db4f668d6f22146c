//go:build linux

package run

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAThreadThatIsStuckInWait4DelaysNoOther(t *testing.T) {
	const killed = syscall.WaitStatus(unix.SIGKILL)
	r := newReaper()
	r.mu.waits = 2 // as if both were in the kernel
	pid, exit, err := r.bear(func() (int, error) {
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
	_, exit, err := r.bear(func() (int, error) {
		require.False(t, r.answered(1, 7, 0, nil))
		return 7, nil
	})
	require.NoError(t, err)
	require.Zero(t, <-exit)
	require.False(t, r.led.Load())
	_, _, err = r.bear(func() (int, error) { return 0, syscall.ENOENT })
	require.ErrorIs(t, err, syscall.ENOENT)
	require.False(t, r.empty.Load(), "nobody has said so since")
}

func TestNoAnswerOfBeforeAForkSaysThatNothingIsAlive(t *testing.T) {
	r := newReaper()
	r.mu.waits = 2
	var starts int
	_, _, err := r.bear(func() (int, error) {
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
