package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// The layouts that we ship keep the key file where the agent may not write: root's
// folder under systemd, a secret in Kubernetes and compose. There keys install says
// at once what to do instead, and that works: the new key comes with the file and SIGHUP.
func TestProcessesWhoseKeyFileIsKeptByOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give an agent a key file that it may not write")
	}
	const nobody = 65534
	dir := shortDir(t)
	secrets, state := filepath.Join(dir, "secrets"), filepath.Join(dir, "state")
	require.NoError(t, os.Chmod(dir, 0o711))
	require.NoError(t, os.Mkdir(secrets, 0o755))
	require.NoError(t, os.Mkdir(state, 0o700))
	require.NoError(t, os.Chown(state, nobody, nobody))
	file, next := filepath.Join(secrets, "ddgoose.key"), filepath.Join(dir, "next.key")
	require.Zero(t, call(t, "keygen", "--out", file).code)
	require.Zero(t, call(t, "keygen", "--out", next).code)
	give := func() {
		require.NoError(t, os.Chown(file, 0, nobody))
		require.NoError(t, os.Chmod(file, 0o640))
	}
	give()

	require.NoError(t, os.Chmod(filepath.Dir(binary(t)), 0o711)) // that of a temporary folder
	p := newProcess(t, state, "a")
	cmd := exec.Command(binary(t), "agent", "--name", "a", "--bind", "127.0.0.1:0", "--data-dir", p.data, "--socket", p.socket, "--key-file", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	p.spawn(cmd)
	p.until("it is the goose", func(s api.Status) bool { return s.Role == api.RoleGoose })

	got := call(t, "keys", "install", "--file", next, "--socket", p.socket)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "key file "+file+" cannot be replaced")
	require.Contains(t, got.stderr, "this agent may not write there; put the new key behind the old one where the file comes from, and send the agent SIGHUP")
	require.Len(t, lines(got.stderr), 1)

	old, err := os.ReadFile(file)
	require.NoError(t, err)
	more, err := os.ReadFile(next)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(old, more...), 0o640))
	give()
	p.signal(syscall.SIGHUP)
	apitest.Eventually(t, func() bool {
		keys := call(t, "keys", "list", "--socket", p.socket)
		return keys.code == 0 && len(lines(keys.stdout)) >= 3 // a heading and two keys
	}, "the agent holds both keys")
}
