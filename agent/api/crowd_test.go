package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// crowdEnv makes this test program a crowd at the socket it names.
const crowdEnv = "DDGOOSE_TEST_CROWD"

// crowd watches over as many connections as it may in all, says so, and keeps
// them until its input ends.
func crowd(socket string) int {
	for range api.LocalConns {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_, _ = io.WriteString(c, "GET /v1/watch HTTP/1.1\r\nHost: agent\r\n\r\n") // cut off meanwhile, perhaps
			defer c.Close()
		}
	}
	fmt.Println("there")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// TestUserWhoMayOnlyLookKeepsNobodyOut has another user watch over 1,024
// connections.
func TestUserWhoMayOnlyLookKeepsNobodyOut(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root can become another user, and only Linux tells who calls")
	}
	path := socketPath(t)
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o755))
	serve(t, apitest.New(), api.Local, listen(t, path, 0o666))
	watch := func() {
		c, err := net.Dial("unix", path)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = io.WriteString(c, "GET /v1/watch HTTP/1.1\r\nHost: agent\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	for _, uid := range []uint32{nobody, nobody - 1} {
		cmd := exec.Command("/proc/self/exe") // by its own path it may be in a folder that only we may enter
		cmd.Env = append(os.Environ(), crowdEnv+"="+path)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			require.NoError(t, in.Close())
			require.NoError(t, cmd.Wait())
		})
		_, err = bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
	}
	for range 16 {
		watch()
	}
	resp, err := clientOf(path).Get("http://agent/v1/status")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
}
