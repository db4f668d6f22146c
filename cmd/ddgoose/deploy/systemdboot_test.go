package deploy

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// booted is a systemd of its own, in a container that borrows this machine's /usr.
type booted struct {
	engine
	name string
}

const (
	systemd = "/usr/lib/systemd/systemd"
	// bootedConfig is a flock of one: what is tested is the unit.
	bootedConfig = "name: one\nexpect: 1\njoin: 127.0.0.1\nsocket-mode: \"0660\"\n"
	// bootedDropIn is so that the test need not wait for half a minute.
	bootedDropIn = "[Service]\nWatchdogSec=5\n"
)

// bootSystemd skips aloud where systemd does not come up in a container.
func bootSystemd(t *testing.T) booted {
	t.Helper()
	b := booted{engine: engineHere(t)}
	b.name = b.prefix + "systemd"
	if _, err := os.Stat(systemd); err != nil {
		t.Skipf("SKIPPED: there is no systemd here to try the unit with: %v", err)
	}
	root := shortDir(t)
	write := func(path, text string, mode os.FileMode) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		require.NoError(t, os.Symlink("usr/"+link, filepath.Join(root, link)))
	}
	write("etc/passwd", "root:x:0:0::/root:/bin/sh\nddgoose:x:64000:64000::/:/usr/sbin/nologin\n", 0o644)
	write("etc/group", "root:x:0:\nddgoose:x:64000:\n", 0o644)
	write("etc/machine-id", strings.Repeat("d", 32)+"\n", 0o644)
	write("etc/ddgoose/ddgoose.yaml", bootedConfig, 0o644)
	write("etc/systemd/system/ddgoose.service", strings.ReplaceAll(read(t, "ddgoose.service"), "/usr/local/bin/", "/opt/bin/"), 0o644)
	write("etc/systemd/system/ddgoose.service.d/test.conf", bootedDropIn, 0o644)
	write("opt/bin/ddgoose", read(t, binary(t)), 0o755)
	write("Dockerfile", "FROM scratch\nCOPY . /\n", 0o644)

	b.atTheEnd("image", "rm", "--force", b.name)
	b.do("build", "--tag", b.name, root)
	b.atTheEnd("rm", "--force", "--volumes", b.name)
	b.do("run", "--detach", "--name", b.name, "--network", "none",
		"--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--env", "container=docker",
		"--tmpfs", "/run:exec", "--tmpfs", "/tmp", "--tmpfs", "/sys/fs/cgroup:rw", "--volume", "/usr:/usr:ro",
		b.name, systemd, "--system", "--unit=basic.target")
	eventually(t, func() bool {
		if running := b.do("inspect", "--format", "{{.State.Running}}", b.name); running != "true" {
			out, _ := b.try("logs", b.name)
			t.Skipf("SKIPPED: systemd does not come up in a container here: %s", out)
		}
		state, _ := b.try("exec", b.name, "systemctl", "is-system-running")
		return state == "running" || state == "degraded"
	}, "systemd comes up")
	return b
}

func (b booted) show(property string) string {
	b.t.Helper()
	return b.do("exec", b.name, "systemctl", "show", "--property", property, "--value", "ddgoose")
}

func (b booted) restarts() int {
	b.t.Helper()
	n, err := strconv.Atoi(b.show("NRestarts"))
	require.NoError(b.t, err)
	return n
}

// token is the goose's, once there is one above the last.
func (b booted) token(above uint64) (token uint64) {
	b.t.Helper()
	eventually(b.t, func() bool {
		// Root's command finds the socket by itself.
		out, code := b.try("exec", b.name, "/opt/bin/ddgoose", "is-goose", "--timeout", "10s")
		if code != 0 {
			return false
		}
		var err error
		token, err = strconv.ParseUint(out, 10, 64)
		require.NoError(b.t, err)
		return token > above
	}, "a goose above token %d", above)
	return token
}

// TestSystemdRunsTheUnit starts, reloads, kills, freezes and stops the agent
// under the real systemd, inside all the walls of the unit.
func TestSystemdRunsTheUnit(t *testing.T) {
	extra(t)
	b := bootSystemd(t)
	b.do("exec", b.name, "systemctl", "start", "ddgoose")
	require.Equal(t, "active", b.show("ActiveState"))
	token := b.token(0)
	eventually(t, func() bool { return strings.HasPrefix(b.show("StatusText"), "goose, term ") }, "systemctl status says so")

	status := b.do("exec", b.name, "cat", "/proc/"+b.show("MainPID")+"/status")
	for _, wall := range []string{"Uid:\t64000\t", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"} {
		require.Contains(t, status, wall)
	}
	b.do("exec", b.name, "systemctl", "reload", "ddgoose")
	eventually(t, func() bool { return strings.Contains(b.journal(), "msg=reloaded") }, "it is reloaded")
	require.Equal(t, "active", b.show("ActiveState"))

	for _, signal := range []string{"KILL", "STOP"} { // by STOP no watchdog is fed
		before := b.restarts()
		b.do("exec", b.name, "kill", "-"+signal, b.show("MainPID"))
		eventually(t, func() bool { return b.restarts() > before }, "SIG%s: it is started anew", signal)
		token = b.token(token)
	}
	require.Contains(t, b.journal(), "Watchdog timeout")

	b.do("exec", b.name, "systemctl", "stop", "ddgoose")
	require.Equal(t, "inactive", b.show("ActiveState"))
	require.Equal(t, "success", b.show("Result"))
	require.Equal(t, "0", b.show("ExecMainStatus"))
	require.Contains(t, b.journal(), "msg=stopped")
}

func (b booted) journal() string {
	b.t.Helper()
	return b.do("exec", b.name, "journalctl", "--no-pager", "--unit", "ddgoose")
}
