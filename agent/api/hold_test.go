package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// holdEnv makes this test program a holder at the socket it names.
const holdEnv = "DDGOOSE_TEST_HOLD"

// TestHolderIsClosedWithItsProcess: the connection lives on in a child of the
// holder's process, and the deadline is an hour away.
func TestHolderIsClosedWithItsProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell of the end of another process")
	}
	a, now := apitest.New(), &clock{}
	ln := listen(t, socketPath(t), 0o600)
	s := api.NewServer(a, api.Local, nil)
	s.SetClock(now.read)
	run(t, s, ln)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), holdEnv+"="+ln.Path())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = stdin.Close() }() // ends its child, too

	h := next(t, a.Holders)
	require.Equal(t, cmd.Process.Pid, h.Peer.PID)
	h.Send(api.LeadEvent{Token: 7, Until: int64(time.Hour)})
	held, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "held\n", held)
	select {
	case <-h.Closed():
		require.Fail(t, "closed while its process lives")
	default:
	}
	require.NoError(t, cmd.Process.Kill())
	next(t, h.Closed())
	require.Error(t, cmd.Wait(), "killed")
}

// hold is what this program does as a holder: it opens a session, leaves the
// connection to a child, says that it was handed a deadline, and lives until
// its input ends.
func hold(socket string) int {
	err := func() error {
		if socket == "child" {
			return nil
		}
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		file, err := conn.(*net.UnixConn).File()
		if err != nil {
			return err
		}
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), holdEnv+"=child")
		child.Stdin, child.ExtraFiles = os.Stdin, []*os.File{file}
		if err := child.Start(); err != nil {
			return err
		}
		if _, err := io.WriteString(conn, "POST /v1/lead HTTP/1.1\r\nHost: agent\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			return err
		}
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if strings.Contains(lines.Text(), `"token":7`) {
				_, err := fmt.Println("held")
				return err
			}
		}
		return io.ErrUnexpectedEOF
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	return 0
}
