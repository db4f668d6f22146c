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

// holdQueryEnv is the query of its request.
const holdQueryEnv = "DDGOOSE_TEST_HOLD_QUERY"

// killHolder starts a holder as a process of its own, hands it a deadline an
// hour away, and kills it. The connection lives on in a child of the process.
func killHolder(t *testing.T, query string) (h *apitest.Holder, now *clock) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell of the end of another process")
	}
	a, now := apitest.New(), &clock{}
	ln := listen(t, socketPath(t), 0o600)
	s := api.NewServer(a, api.Local, nil)
	s.SetClock(now.read)
	run(t, s, ln)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), holdEnv+"="+ln.Path(), holdQueryEnv+"="+query)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = stdin.Close() }) // ends its child, too

	h = next(t, a.Holders)
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
	require.Error(t, cmd.Wait(), "killed")
	return h, now
}

func TestHolderIsClosedWithItsProcess(t *testing.T) {
	h, _ := killHolder(t, "")
	next(t, h.Closed())
}

func TestHolderWithHeirsIsBoundUntilItsDeadline(t *testing.T) {
	h, now := killHolder(t, "?heirs=true")
	staysBound(t, h, now)
	require.Empty(t, h.Heard())
	now.now.Store(int64(time.Hour))
	next(t, h.Closed())
	require.Equal(t, []string{"died"}, h.Heard(), "its heirs' time is over")
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
		if _, err := io.WriteString(conn, "POST /v1/lead"+os.Getenv(holdQueryEnv)+" HTTP/1.1\r\nHost: agent\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
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
