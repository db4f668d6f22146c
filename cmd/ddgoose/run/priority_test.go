//go:build linux

package run

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
)

// needFavour skips a test where a process may not raise its priority.
func needFavour(t *testing.T) {
	t.Helper()
	err := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its priority
		attr := favoured
		err <- unix.SchedSetAttr(0, &attr, 0)
	}()
	if err := <-err; err != nil {
		t.Skipf("no priority here: %v", err)
	}
}

func TestRunAndGuardGoBeforeTheLoadAndTheCommandDoesNot(t *testing.T) {
	needFavour(t)
	f := alone(t)
	for _, nice := range []int32{0, 5} {
		wrapped := filepath.Join(f.dir, "nice"+strconv.Itoa(int(nice)))
		apitest.WriteExecutable(t, wrapped, "#!/bin/sh\nexec nice -n "+strconv.Itoa(int(nice))+" '"+binary(t)+"' \"$@\"\n")
		f.binary = wrapped
		out := wrapped + ".out"
		p := f.start("a", []string{"--restart"}, "sh", "-c", `echo $$ > "$0"; exec sleep 1000`, out)
		f.text(out)
		for _, pid := range []int{p.cmd.Process.Pid, f.guard("a")} {
			// The thread that has started the command has that one's priority for a moment.
			f.until("each thread goes first", func() bool {
				tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
				require.NoError(t, err)
				for _, task := range tasks {
					thread, err := strconv.Atoi(filepath.Base(task))
					require.NoError(t, err)
					if attr, err := unix.SchedGetAttr(thread, 0); err != nil || attr.Policy != favoured.Policy || attr.Nice != favoured.Nice {
						return false
					}
				}
				return len(tasks) > 2
			})
			require.Equal(t, os.Geteuid() == 0, lockedMemory(t, strconv.Itoa(pid)) != "0", "a plain user may lock little")
		}
		require.Equal(t, "0", lockedMemory(t, f.text(out)))
		if guards := sessionOf(t, strconv.Itoa(f.guard("a"))); guards != "" { // it leads a session, and so does the command
			require.Equal(t, []string{"-20", "0"}, []string{guards, sessionOf(t, f.text(out))})
		}
		attr := attrOf(t, f.text(out))
		want := min(attrOf(t, "0").Nice+nice, 19)
		require.Equal(t, []any{uint32(unix.SCHED_NORMAL), want, uint64(0)}, []any{attr.Policy, attr.Nice, attr.Flags & unix.SCHED_FLAG_RESET_ON_FORK})
		require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
		require.Equal(t, CodeStopped, f.ended(p), f.log())
	}
}

// TestThreadsThatTheKernelListsLateAreRaised lowers a thread where the kernel would list one that was
// being started. It runs in a process of its own, which keeps the priority.
func TestThreadsThatTheKernelListsLateAreRaised(t *testing.T) {
	needFavour(t)
	if os.Getenv(lateThreadEnv) == "" {
		cmd := exec.Command(self(t), "-test.v", "-test.run=^"+t.Name()+"$")
		cmd.Env = cleanEnviron(lateThreadEnv + "=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	threads := make(chan int)
	for range 2 {
		go func() {
			runtime.LockOSThread() // never unlocked: the thread stays
			threads <- unix.Gettid()
			select {}
		}()
	}
	starter, late := <-threads, <-threads
	nice := func(thread int) int32 { return attrOf(t, strconv.Itoa(thread)).Nice }
	before := nice(starter)
	require.True(t, raise(starter))
	require.Equal(t, before, nice(starter), "the starter's priority is its own")
	pauses := 0
	raiseRest(starter, func() {
		require.Equal(t, favoured.Nice, nice(late), "before pause %d", pauses+1)
		if pauses++; pauses <= 2 {
			attr := unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: 5}
			require.NoError(t, unix.SchedSetAttr(late, &attr, 0))
		}
	})
	require.Equal(t, 3, pauses, "it ends when it finds none")
}

const lateThreadEnv = "DDGOOSE_TEST_LATE_THREAD"

// lockedMemory gives how many kB of a process's memory stay in memory.
func lockedMemory(t *testing.T, pid string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/status")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "VmLck:")
	require.True(t, found)
	return strings.Fields(after)[0]
}

// sessionOf gives the priority of a process's session, as the kernel shows it; "": sessions have none here.
func sessionOf(t *testing.T, pid string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/autogroup")
	if err != nil {
		return ""
	}
	_, nice, _ := strings.Cut(strings.TrimSpace(string(text)), " nice ")
	return nice
}

func attrOf(t *testing.T, thread string) *unix.SchedAttr {
	t.Helper()
	id, err := strconv.Atoi(thread)
	require.NoError(t, err)
	attr, err := unix.SchedGetAttr(id, 0)
	require.NoError(t, err)
	return attr
}
