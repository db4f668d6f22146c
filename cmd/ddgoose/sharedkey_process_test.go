package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// user is one whose agents have a runtime folder of their own. Where root runs the
// tests it is another than root, whose folder is the machine's.
type user struct {
	dir  string
	cred *syscall.Credential // nil: our own user
}

func newUser(t *testing.T, uid uint32) user {
	t.Helper()
	u := user{dir: shortDir(t)}
	if os.Geteuid() == 0 {
		u.cred = &syscall.Credential{Uid: uid, Gid: uid}
		require.NoError(t, os.Chown(u.dir, int(uid), int(uid)))
		require.NoError(t, os.Chmod(filepath.Dir(binary(t)), 0o711))
	}
	return u
}

// start starts an agent without the tests' key, with the runtime folder in dir.
func (u user) start(t *testing.T, runtime, name string, more ...string) *process {
	t.Helper()
	p := newProcess(t, u.dir, name)
	cmd := exec.Command("env", append([]string{"-u", "DDGOOSE_KEY_FILE", "XDG_RUNTIME_DIR=" + runtime,
		binary(t), "agent", "--name", name, "--data-dir", p.data, "--socket", p.socket, "--profile", "wan"}, more...)...)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: u.cred}
	p.spawn(cmd)
	return p
}

func (p *process) keys() (k api.Keys) {
	p.t.Helper()
	got := call(p.t, "keys", "list", "--json", "--socket", p.socket)
	require.Zero(p.t, got.code, got.stderr)
	require.NoError(p.t, json.Unmarshal([]byte(got.stdout), &k))
	return k
}

// sealing waits until the first key seals for these: a busy one may answer late.
func (p *process) sealing(names ...string) (k api.Keys) {
	p.t.Helper()
	apitest.Eventually(p.t, func() bool {
		k = p.keys()
		return len(k.Keys) > 0 && slices.Equal(slices.Sorted(slices.Values(k.Keys[0].Sealing)), names)
	}, "%v seal with one key: %+v", names, &k)
	return k
}

func TestProcessAgentsOfOneUserShareAKey(t *testing.T) {
	t.Parallel()
	u := newUser(t, 65534)
	ports := map[string]string{"a": freePort(t), "b": freePort(t)}
	var flock []*process
	for _, name := range []string{"a", "b"} { // at once: none waits for the other's file
		flock = append(flock, u.start(t, u.dir, name, "--bind", ports[name], "--expect", "2", "--join", ports["a"]+","+ports["b"]))
	}
	for _, p := range flock {
		p.until("they found a flock", func(s api.Status) bool { return s.Goose != nil && s.Alive == 2 })
	}
	a := flock[0]
	k := a.sealing("a", "b")
	require.Len(t, k.Keys, 1)
	file := filepath.Join(u.dir, "ddgoose", "loopback.key")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())

	other := newUser(t, 65533)
	c := other.start(t, other.dir, "c", "--bind", "127.0.0.1:0", "--join", a.addr())
	c.status()
	s := c.until("another key", warns("it seals with key "+k.Keys[0].ID+", we hold "+c.keys().Keys[0].ID+": give both the same --key-file"))
	require.Nil(t, s.Goose)
	d := other.start(t, other.dir, "d", "--bind", "127.0.0.1:0", "--join", a.addr(), "--insecure")
	d.until("no key", warns("it seals with key "+k.Keys[0].ID+", we hold none"))

	// A change of keys is written to the file that all have.
	next := filepath.Join(shortDir(t), "next.key")
	require.Zero(t, call(t, "keygen", "--out", next).code)
	for _, do := range []string{"install", "use", "list"} {
		args := []string{"keys", do, "--socket", a.socket}
		if do != "list" {
			args = append(args, "--file", next)
		}
		var got outcome
		apitest.Eventually(t, func() bool { // a busy one may answer late, which is a warning
			got = call(t, args...)
			return got.code == 0 && !strings.Contains(got.stdout, "warning")
		}, "keys %s; last: %+v", do, &got)
	}
	e := u.start(t, u.dir, "e", "--bind", "127.0.0.1:0", "--join", a.addr())
	e.until("joined with the new key", func(s api.Status) bool { return s.Goose != nil && s.Alive == 3 })
	e.sealing("a", "b", "e")

	// A key made anew would lock the agent out.
	require.NoError(t, os.Remove(file))
	a.signal(syscall.SIGHUP)
	apitest.Eventually(t, func() bool { return strings.Contains(a.log.String(), "reload refused, all stays as it was") }, "the reload is refused: %s", a.log)
	require.NoFileExists(t, file)
	a.until("all are there", func(s api.Status) bool { return s.Alive == 3 })
}

func TestProcessWhoseSharedKeyCannotBeMadeNamesTheRemedies(t *testing.T) {
	t.Parallel()
	u := newUser(t, 65534)
	file := filepath.Join(u.dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	line := refused(t, u.start(t, file, "a", "--bind", "127.0.0.1:0"))
	require.Contains(t, line, "not a directory")
	require.Contains(t, line, "--key-file")
	require.Contains(t, line, "--insecure")
}
