package deploy

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// booted is a systemd of its own, in a container that borrows this machine's /usr.
type booted struct {
	engine
	name    string
	program string // where ddgoose is in it
}

const (
	systemd = "/usr/lib/systemd/systemd"
	// bootedConfig is a flock of one: what is tested is the unit.
	bootedConfig = "name: one\nexpect: 1\njoin: 127.0.0.1\nsocket-mode: \"0660\"\n"
	// bootedDropIn is so that the test need not wait for half a minute.
	bootedDropIn = "[Service]\nWatchdogSec=5\n"

	bootedPasswd = "root:x:0:0::/root:/bin/sh\n"
	bootedGroup  = "root:x:0:\n"
)

// bootedWork is a service that ignores SIGTERM, and keeps the token of each start.
const bootedWork = "[Service]\nEnvironmentFile=/run/work.env\nExecStart=/bin/sh -c 'trap \"\" TERM; echo $DDGOOSE_TOKEN >> /run/tokens; exec sleep 1000'\n"

// bootUnit boots a systemd that has the unit, and the binary below /opt.
func bootUnit(t *testing.T) booted {
	t.Helper()
	b := bootSystemd(t, map[string]string{
		"etc/systemd/system/ddgoose.service":             strings.ReplaceAll(read(t, "ddgoose.service"), "/usr/local/bin/", "/opt/bin/"),
		"etc/systemd/system/ddgoose.service.d/test.conf": bootedDropIn,
		"etc/systemd/system/work.service":                bootedWork,
		"opt/bin/ddgoose":                                read(t, binary(t)),
		"etc/passwd":                                     bootedPasswd + "ddgoose:x:64000:64000::/:/usr/sbin/nologin\n",
		"etc/group":                                      bootedGroup + "ddgoose:x:64000:\n",
	})
	b.program = "/opt/bin/ddgoose"
	return b
}

// bootSystemd boots one that has these files. It skips aloud where systemd does not come up in a container.
func bootSystemd(t *testing.T, files map[string]string) booted {
	t.Helper()
	b := booted{engine: engineHere(t)}
	b.name = b.prefix + "systemd"
	if _, err := os.Stat(systemd); err != nil {
		t.Skipf("SKIPPED: there is no systemd here to try the unit with: %v", err)
	}
	root := shortDir(t)
	write := func(path, text string) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		mode := os.FileMode(0o644)
		if strings.Contains(path, "/bin/") {
			mode = 0o755
		}
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		require.NoError(t, os.Symlink("usr/"+link, filepath.Join(root, link)))
	}
	write("etc/passwd", bootedPasswd)
	write("etc/group", bootedGroup)
	write("etc/machine-id", strings.Repeat("d", 32)+"\n")
	write("etc/ddgoose/ddgoose.yaml", bootedConfig)
	write("Dockerfile", "FROM scratch\nCOPY . /\n")
	for path, text := range files {
		write(path, text)
	}

	b.atTheEnd("image", "rm", "--force", b.name)
	b.do("build", "--tag", b.name, root)
	b.atTheEnd("rm", "--force", "--volumes", b.name)
	b.do("run", "--detach", "--name", b.name, "--network", "none",
		"--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE", "--cap-add", "SYS_NICE",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--env", "container=docker",
		"--tmpfs", "/run:exec", "--tmpfs", "/tmp", "--tmpfs", "/sys/fs/cgroup:rw", "--volume", "/usr:/usr:ro",
		b.name, systemd, "--system", "--unit=basic.target")
	apitest.Eventually(t, func() bool {
		if running := b.do("inspect", "--format", "{{.State.Running}}", b.name); running != "true" {
			out, _ := b.try("logs", b.name)
			t.Skipf("SKIPPED: systemd does not come up in a container here: %s", out)
		}
		state, _ := b.try("exec", b.name, "systemctl", "is-system-running")
		return state == "running" || state == "degraded"
	}, "systemd comes up")
	return b
}

func (b booted) show(property string) string { return b.showOf("ddgoose", property) }

func (b booted) showOf(unit, property string) string {
	b.t.Helper()
	return b.do("exec", b.name, "systemctl", "show", "--property", property, "--value", unit)
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
	apitest.Eventually(b.t, func() bool {
		// Root's command finds the socket by itself.
		out, code := b.try("exec", b.name, b.program, "is-goose", "--timeout", "10s")
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
	b := bootUnit(t)
	b.do("exec", b.name, "systemctl", "start", "ddgoose")
	require.Equal(t, "active", b.show("ActiveState"))
	token := b.token(0)
	apitest.Eventually(t, func() bool { return strings.HasPrefix(b.show("StatusText"), "goose, term ") }, "systemctl status says so")

	status := b.do("exec", b.name, "cat", "/proc/"+b.show("MainPID")+"/status")
	for _, wall := range []string{"Uid:\t64000\t", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"} {
		require.Contains(t, status, wall)
	}
	b.do("exec", b.name, "systemctl", "reload", "ddgoose")
	b.tells("msg=reloaded")
	require.Equal(t, "active", b.show("ActiveState"))

	for _, signal := range []string{"KILL", "STOP"} { // by STOP no watchdog is fed
		before := b.restarts()
		b.do("exec", b.name, "kill", "-"+signal, b.show("MainPID"))
		apitest.Eventually(t, func() bool { return b.restarts() > before }, "SIG%s: systemd starts it again", signal)
		token = b.token(token)
	}
	b.tells("Watchdog timeout")

	b.do("exec", b.name, "systemctl", "stop", "ddgoose")
	require.Equal(t, "inactive", b.show("ActiveState"))
	require.Equal(t, "success", b.show("Result"))
	require.Equal(t, "0", b.show("ExecMainStatus"))
	b.tells("msg=stopped")
}

// tells waits until the unit's journal has a text: journald writes it some time after it was said.
func (b booted) tells(text string) {
	b.t.Helper()
	apitest.Eventually(b.t, func() bool {
		return strings.Contains(b.do("exec", b.name, "journalctl", "--no-pager", "--unit", "ddgoose"), text)
	}, "the journal has %q", text)
}

// TestRunHasTheRealSystemdRunAUnit ends a service that ignores SIGTERM long before
// systemd itself would kill it, after a minute and a half.
func TestRunHasTheRealSystemdRunAUnit(t *testing.T) {
	extra(t)
	b := bootUnit(t)
	b.do("exec", b.name, "systemctl", "start", "ddgoose")
	token := b.token(0)
	run := []string{"exec", b.name, b.program, "run", "--unit", "work.service", "--env-file", "/run/work.env", "--grace", "100ms"}
	b.do(append([]string{"exec", "--detach"}, run[1:]...)...)
	working := func(least uint64) (token uint64) { // a busy machine may cost the lease meanwhile
		t.Helper()
		apitest.Eventually(t, func() bool {
			tokens, code := b.try("exec", b.name, "cat", "/run/tokens")
			last, err := strconv.ParseUint(tokens[strings.LastIndexByte(tokens, '\n')+1:], 10, 64)
			token = last
			return code == 0 && err == nil && token >= least && b.showOf("work", "ActiveState") == "active"
		}, "it works with token %d or more", least)
		return token
	}
	token = working(token)
	b.do("exec", b.name, "systemctl", "kill", "--signal", "STOP", "ddgoose")
	apitest.Eventually(t, func() bool { return b.showOf("work", "ActiveState") == "failed" }, "its lease is over, so it is killed")
	require.Equal(t, "2", b.showOf("work", "ExecMainCode"), "by a signal")
	require.Equal(t, "9", b.showOf("work", "ExecMainStatus"))
	b.do("exec", b.name, "systemctl", "kill", "--signal", "KILL", "ddgoose")
	token = b.token(token)
	working(token)

	_, code := b.try(run...)
	require.Equal(t, 1, code, "another run has it")
	require.Equal(t, "active", b.showOf("work", "ActiveState"))
}

// formerPackage is this tree's Debian package with the former build in it: that had none of its own.
func formerPackage(t *testing.T, dist string) string {
	t.Helper()
	former, dir := formerBinary(t), t.TempDir()
	out := filepath.Join(dir, "former.deb")
	_, stderr, code := run(t, "sh", "-ec", `dpkg-deb --raw-extract "$1" "$3/deb"
		install -m 755 "$2" "$3/deb/usr/bin/ddgoose"
		sed -i 's/^Version: .*/Version: 1.2.2/' "$3/deb/DEBIAN/control"
		dpkg-deb --root-owner-group -Znone --build "$3/deb" "$4"`, "sh",
		filepath.Join(dist, "ddgoose_1.2.3_"+runtime.GOARCH+".deb"), former, dir, out)
	require.Zero(t, code, stderr)
	return out
}

// TestDebianPackageUnderSystemd installs the former build, starts it, upgrades it as it runs, and removes it.
func TestDebianPackageUnderSystemd(t *testing.T) {
	tool(t, "dpkg-deb", "a Debian system is needed")
	dist := makePackages(t, "v1.2.3")
	b := bootSystemd(t, map[string]string{
		"packages/former.deb":        read(t, formerPackage(t, dist)),
		"packages/now.deb":           read(t, filepath.Join(dist, "ddgoose_1.2.3_"+runtime.GOARCH+".deb")),
		"var/lib/dpkg/status":        "",
		"var/lib/dpkg/available":     "",
		"var/lib/dpkg/info/format":   "1\n",
		"var/lib/dpkg/updates/.keep": "",
	})
	b.program = "/usr/bin/ddgoose"
	inside := func(command ...string) string {
		t.Helper()
		return b.do(append([]string{"exec", b.name}, command...)...)
	}
	// The machine's /usr is read only: what packages write lies over it.
	inside("mkdir", "/run/upper", "/run/work")
	if out, code := b.try("exec", b.name, "mount", "-t", "overlay", "overlay", "-o", "lowerdir=/usr,upperdir=/run/upper,workdir=/run/work", "/usr"); code != 0 {
		t.Skipf("SKIPPED: nothing can be laid over /usr in a container here: %s", out)
	}

	inside("dpkg", "--install", "/packages/former.deb")
	require.Equal(t, "disabled", b.show("UnitFileState"))
	require.Equal(t, "inactive", b.show("ActiveState"), "only an upgrade starts anything")
	inside("systemctl", "enable", "--now", "ddgoose")
	token, before := b.token(0), b.show("MainPID")

	inside("dpkg", "--install", "/packages/now.deb")
	require.Equal(t, "active", b.show("ActiveState"))
	require.NotEqual(t, before, b.show("MainPID"), "it runs the new build")
	require.Contains(t, inside(b.program, "version"), "v1.2.3")
	b.token(token)
	require.Equal(t, "enabled", b.show("UnitFileState"))

	inside("dpkg", "--remove", "ddgoose")
	require.Equal(t, "not-found", b.show("LoadState"))
	require.Equal(t, "inactive", b.show("ActiveState"))
	inside("dpkg", "--purge", "ddgoose")
	inside("test", "!", "-e", "/usr/bin/ddgoose")
	inside("test", "!", "-L", "/etc/systemd/system/multi-user.target.wants/ddgoose.service")
	inside("test", "-s", "/etc/ddgoose/ddgoose.yaml")
	inside("test", "-d", "/var/lib/ddgoose/one")
}
