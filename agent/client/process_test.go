package client

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// leadEnv makes this test program one that leads at the socket it names.
const leadEnv = "DDGOOSE_TEST_LEAD"

// leadProcess says what happens to its work, a line each.
func leadProcess(socket string) int {
	err := New(socket).Lead(context.Background(), func(ctx context.Context, l lead.Lease) error {
		fmt.Println("work", l.Token())
		for l.Until() > 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond) // an act, each after a look at the lease
		}
		<-ctx.Done()
		fmt.Println("over:", context.Cause(ctx), l.Until() <= 0)
		return nil
	})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// TestStoppedProcessActsNoMoreOnceItsLeaseIsOver: no deadline can stop a
// process that does not run; it must find out before its next act.
func TestStoppedProcessActsNoMoreOnceItsLeaseIsOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell of the end of another process")
	}
	a, c := running(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), leadEnv+"="+c.Socket())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone
		_ = cmd.Wait()
	})
	said := make(chan string, 16)
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said <- lines.Text()
		}
	}()

	h := next(t, a.Holders)
	require.Equal(t, cmd.Process.Pid, h.Peer.PID)
	const length = 30 * time.Second
	h.Renew(7, boottime.Now(), length)
	require.Equal(t, "work 7", next(t, said))
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool { return stopped(cmd.Process.Pid) }, soon, time.Millisecond)
	h.Renew(7, boottime.Now()-length, length) // what it reads when it goes on is over by then
	require.Empty(t, said)
	select {
	case <-h.Closed():
		require.Fail(t, "closed while its process is only stopped")
	default:
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	require.Equal(t, "over: the goose's lease was lost true", next(t, said))
	require.Eventually(t, func() bool { return strings.HasSuffix(strings.Join(h.Heard(), ", "), "drained 7") }, soon, time.Millisecond)

	h.Renew(8, boottime.Now(), time.Hour)
	for done := false; !done; {
		select {
		case line := <-said:
			require.Equal(t, "work 8", line)
			done = true
		case <-time.After(10 * time.Millisecond):
			h.Renew(8, boottime.Now(), time.Hour)
		}
	}
	require.NoError(t, cmd.Process.Kill())
	next(t, h.Closed())
}

func stopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") T ")
}
