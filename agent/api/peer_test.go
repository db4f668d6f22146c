package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

const (
	// strangerEnv makes this test program a client of the socket it names.
	strangerEnv = "DDGOOSE_TEST_STRANGER"
	nobody      = 65534
)

// changes are all routes that change something, with bodies that would.
var changes = []struct{ method, path, body string }{
	{"POST", "/v1/lead", ``},
	{"POST", "/v1/step-down", ``},
	{"POST", "/v1/leave", ``},
	{"POST", "/v1/force-leave", `{"name": "b"}`},
	{"POST", "/v1/join", `{"addrs": ["b"]}`},
	{"POST", "/v1/simulate/death", ``},
	{"POST", "/v1/simulate/revive", ``},
	{"PUT", "/v1/netem", `{"rules": "*: cut"}`},
	{"DELETE", "/v1/netem", ``},
}

func TestOnlyRootAndTheAgentsUserMayChangeAnything(t *testing.T) {
	own, stranger := os.Geteuid(), nobody
	if own == stranger {
		stranger--
	}
	for _, c := range changes {
		for _, uid := range []int{0, own} {
			require.Equal(t, http.StatusOK, askAs(uid, apitest.New(), api.Local, c.method, c.path, c.body).code, "%s by %d", c.path, uid)
		}
		a := apitest.New()
		got := askAs(stranger, a, api.Local, c.method, c.path, c.body)
		require.Equal(t, http.StatusForbidden, got.code)
		require.JSONEq(t, fmt.Sprintf(`{"error": "%s %s: user %d may only look; only root and user %d may change anything"}`,
			c.method, c.path, stranger, own), got.body)

		got = askAs(-1, a, api.Local, c.method, c.path, c.body)
		require.Equal(t, http.StatusForbidden, got.code, "a user that the system does not tell")
		require.Contains(t, got.body, "the system did not tell which user calls")
		require.Empty(t, a.Heard())
		require.Empty(t, a.Holders)
	}
}

// TestKeysAreForThoseWhoMayChangeThem: each question about keys has every agent
// of the flock give a ticket.
func TestKeysAreForThoseWhoMayChangeThem(t *testing.T) {
	for _, uid := range []int{nobody, -1} {
		require.Equal(t, http.StatusForbidden, askAs(uid, apitest.New(), api.Local, "GET", "/v1/keys", "").code)
	}
	require.Equal(t, http.StatusOK, askAs(os.Geteuid(), apitest.New(), api.Local, "GET", "/v1/keys", "").code)
	require.Equal(t, http.StatusForbidden, askAs(os.Geteuid()+1, apitest.New(), api.Local, "GET", "/debug/pprof/heap", "").code)
}

func TestEverybodyMayLook(t *testing.T) {
	for _, path := range append([]string{"/v1/netem"}, readable...) {
		for _, uid := range []int{nobody, -1} {
			require.Equal(t, ask(apitest.New(), api.Local, "GET", path, ""), askAs(uid, apitest.New(), api.Local, "GET", path, ""))
		}
	}
}

// TestTheSystemTellsWhoCalls starts this program as another user, who tries
// everything at a socket whose mode lets all in, and then at one of his own.
func TestTheSystemTellsWhoCalls(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root can become another user, and only Linux tells who calls")
	}
	path := socketPath(t)
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o755))
	a := apitest.New()
	serve(t, a, api.Local, listen(t, path, 0o666))

	cmd := exec.Command("/proc/self/exe") // by its own path it may be in a folder that only we may enter
	cmd.Env = append(os.Environ(), strangerEnv+"="+path)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &errs)
	var got map[string]int
	require.NoError(t, json.Unmarshal(out, &got), "%s", out)

	want := map[string]int{"GET /v1/status": 200, "own GET /v1/status": 200}
	for _, c := range changes {
		if c.path == "/v1/lead" {
			want[c.method+" "+c.path] = 403 // a stream, where it may
			continue
		}
		want[c.method+" "+c.path], want["own "+c.method+" "+c.path] = 403, 200
	}
	require.Equal(t, want, got)
	require.Empty(t, a.Heard())
	require.Empty(t, a.Holders)
}

// stranger is what this program does as another user: it prints the code of
// each answer as JSON.
func stranger(socket string) int {
	codes := map[string]int{}
	if err := try(socket, "", codes); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("/tmp", "ddg")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ln, err := api.ListenSocket(filepath.Join(dir, "own.sock"), 0o600)
	if err == nil {
		s := api.NewServer(apitest.New(), api.Local, nil)
		go func() { _ = s.Serve(ln) }()
		err = try(ln.Path(), "own ", codes)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(codes)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func try(socket, prefix string, codes map[string]int) error {
	c := clientOf(socket)
	for _, r := range append(changes, struct{ method, path, body string }{"GET", "/v1/status", ""}) {
		if prefix != "" && r.path == "/v1/lead" {
			continue
		}
		req, err := http.NewRequest(r.method, "http://agent"+r.path, strings.NewReader(r.body))
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		codes[prefix+r.method+" "+r.path] = resp.StatusCode
	}
	return nil
}
