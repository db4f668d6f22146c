//go:build linux

package run

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

// realEngine is a container engine of this machine, with an image of this test program.
type realEngine struct {
	t      *testing.T
	cli    []string // the command that speaks to it
	socket string   // "": Docker's own
	create []string // flags of each container
	prefix string   // of all names
}

// eachEngine runs a test with Docker and with Podman, and skips aloud where one
// cannot be had.
func eachEngine(t *testing.T, test func(*testing.T, *realEngine)) {
	if os.Getenv("DDGOOSE_TEST_EXTRA") == "" {
		t.Skip("SKIPPED: this needs a container engine; set DDGOOSE_TEST_EXTRA to run it")
	}
	for name, find := range map[string]func(*realEngine){"docker": (*realEngine).findDocker, "podman": (*realEngine).findPodman} {
		t.Run(name, func(t *testing.T) {
			e := &realEngine{t: t, prefix: fmt.Sprintf("ddgoose-run-%d-", os.Getpid())}
			find(e)
			e.build()
			test(t, e)
		})
	}
}

func (e *realEngine) findDocker() {
	if out, err := exec.Command("docker", "info").CombinedOutput(); err != nil {
		e.t.Skipf("SKIPPED: no Docker engine runs here: %v: %s", err, out)
	}
	e.cli = []string{"docker"}
}

// findPodman serves a Podman of the test's own, with its own storage.
func (e *realEngine) findPodman() {
	if os.Geteuid() != 0 {
		e.t.Skip("SKIPPED: Podman here needs root to be installed and to run")
	}
	for _, name := range []string{"podman", "runc"} { // crun refuses cgroups of both versions side by side
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if out, err := exec.Command("sh", "-c", "apt-get update && apt-get install -y --no-install-recommends "+name).CombinedOutput(); err != nil {
			e.t.Skipf("SKIPPED: there is no %s here, and apt-get did not install it: %v: %s", name, err, out)
		}
	}
	dir := shortDir(e.t)
	e.socket = filepath.Join(dir, "podman.sock")
	e.cli = []string{
		"podman", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"),
		"--runtime", "runc", "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", "--events-backend", "none",
	}
	// Podman's own limits are higher than a container's machine may set.
	e.create = []string{"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"}
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(e.t, err)
	e.t.Cleanup(func() { _ = log.Close() }) // written by another process
	service := exec.Command(e.cli[0], append(e.cli[1:], "system", "service", "--time", "0", "unix://"+e.socket)...)
	service.Stdout, service.Stderr = log, log
	require.NoError(e.t, service.Start())
	e.t.Cleanup(func() {
		_ = service.Process.Signal(unix.SIGTERM)
		_ = service.Wait() // ended by a signal
	})
	require.Eventually(e.t, func() bool { _, err := os.Stat(e.socket); return err == nil }, patience, 10*time.Millisecond, "Podman's socket")
}

// build makes the image.
func (e *realEngine) build() {
	dir := shortDir(e.t)
	build := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, "child"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(e.t, err, "%s", out)
	require.NoError(e.t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY child /child\nENTRYPOINT [\"/child\"]\n"), 0o600))
	e.run("build", "--quiet", "--tag", e.prefix+"image", dir)
	e.t.Cleanup(func() { e.run("image", "rm", "--force", e.prefix+"image") })
}

// run runs a command of the engine that must succeed.
func (e *realEngine) run(args ...string) string {
	e.t.Helper()
	out, err := exec.Command(e.cli[0], append(slices.Clone(e.cli[1:]), args...)...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		out = append(out, failed.Stderr...)
	}
	require.NoError(e.t, err, "%v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// farm starts agents whose runs ask this engine.
func (e *realEngine) farm(opts flock.Options) *farm {
	f := newFarm(e.t, opts)
	if e.socket != "" {
		f.env = []string{"DOCKER_HOST=unix://" + e.socket}
	}
	return f
}

// container creates the container of an agent, which runs the child of the tests.
func (e *realEngine) container(f *farm, agent string, args ...string) (name, env string) {
	e.t.Helper()
	name, env = e.prefix+agent, filepath.Join(f.dir, agent+".env")
	flags := append([]string{"create", "--name", name, "--network", "none", "--volume", f.dir + ":" + f.dir, "--env", childEnv + "=" + f.dir}, e.create...)
	e.run(append(append(flags, e.prefix+"image", "env="+env), args...)...)
	e.t.Cleanup(func() { e.run("rm", "--force", name) })
	return name, env
}

func (e *realEngine) runs(name string) bool {
	return e.run("inspect", "--format", "{{.State.Running}}", name) == "true"
}

// managedFlock are three agents whose lease a manager of processes can keep to.
func managedFlock() flock.Options {
	lease := cmp.Or(*overlapLease, time.Second)
	return flock.Options{Agents: 3, Lease: lease, Heartbeat: lease / 10}
}

// TestNoTwoContainersAreAliveAtOnce forces changes of goose in every way we know.
// One container of three ignores SIGTERM.
func TestNoTwoContainersAreAliveAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *realEngine) {
		f := e.farm(managedFlock())
		f.burn(*overlapLoad)
		for i, agent := range f.flock.Names() {
			var args []string
			if i == 1 {
				args = []string{"stubborn"}
			}
			name, env := e.container(f, agent, args...)
			f.start(agent, []string{"--grace", "1s", "--container", name, "--env-file", env})
		}
		f.force(max(*overlapChanges, 2*len(faults)))
	})
}

// TestAContainerIsGoneBeforeTheLeaseCanEnd is about one that ignores SIGTERM.
func TestAContainerIsGoneBeforeTheLeaseCanEnd(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *realEngine) {
		f := e.farm(flock.Options{Agents: 1, Lease: slowLease, Heartbeat: slowLease / 10})
		name, env := e.container(f, "a", "stubborn")
		flags := []string{"--grace", "1m", "--container", name, "--env-file", env}
		for _, c := range []struct {
			what string
			hit  func(p *runProcess)
		}{
			{"run killed", func(p *runProcess) { require.NoError(t, p.cmd.Process.Kill()) }},
			{"run stopped", func(p *runProcess) { require.NoError(t, p.cmd.Process.Signal(unix.SIGSTOP)) }},
			{"agent killed", func(*runProcess) { f.agent("a", unix.SIGKILL) }},
		} {
			began := boottime.Now()
			p := f.start("a", flags)
			f.working(0, began)
			cgroup := containerProcesses(atoi(t, e.run("inspect", "--format", "{{.State.Pid}}", name)), e.run("inspect", "--format", "{{.Id}}", name))
			require.True(t, cgroup.populated())
			c.hit(p)
			at := boottime.Now()
			f.until("its end", func() bool { return !cgroup.populated() && !e.runs(name) })
			require.Less(t, f.lastAlive(at), slowLease, "%s: %s", c.what, f.log())
			t.Logf("%-12s last sign of life after %v of a lease of %v", c.what, f.lastAlive(at).Round(time.Millisecond), slowLease)
			// A run that goes on may start the container once more. Its grace is as long as the
			// test's patience, so the second signal ends that.
			for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGCONT} {
				_ = p.cmd.Process.Signal(sig) // it may be dead
			}
			f.ended(p)
		}
	})
}

// TestAContainerWithASmallShareIsGoneBeforeTheLeaseCanEnd: it may use the processors hardly at
// all, beside a load. Its end needs them.
func TestAContainerWithASmallShareIsGoneBeforeTheLeaseCanEnd(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *realEngine) {
		f := e.farm(flock.Options{Agents: 1, Lease: time.Second, Heartbeat: 100 * time.Millisecond})
		name, env := e.container(f, "a", "stubborn")
		f.start("a", []string{"--grace", "1m", "--container", name, "--env-file", env})
		f.working(0, 0)
		e.run("update", "--cpu-shares", "2", "--cpu-quota", "1000", name) // it would take minutes to begin
		f.burn(8)
		f.agent("a", unix.SIGKILL)
		f.until("its end", func() bool { return strings.Contains(f.log(), "all was gone") })
		f.spare()
	})
}

func TestAContainersPolicyAndCodeAreTheEngines(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *realEngine) {
		f := e.farm(flock.Options{Agents: 1, Lease: slowLease, Heartbeat: slowLease / 10})
		name, env := e.container(f, "a", "code=7")
		flags := []string{"--container", name, "--env-file", env}
		require.Equal(t, 7, f.ended(f.start("a", flags)), f.log())
		e.create = append(e.create, "--restart", "always")
		restarted, _ := e.container(f, "b")
		require.Equal(t, 1, f.ended(f.start("a", []string{"--container", restarted})))
		require.Contains(t, f.log(), "docker update --restart no "+restarted)
		require.Equal(t, 1, f.ended(f.start("a", []string{"--container", name + "-none"})))
		require.Regexp(t, "(?i)no (such )?container", f.log())
	})
}

// TestAContainerWithoutCgroupKillIsKilledOneByOne: version 1 has no cgroup.kill.
func TestAContainerWithoutCgroupKillIsKilledOneByOne(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *realEngine) {
		f := e.farm(flock.Options{Agents: 1})
		name, env := e.container(f, "a", "stubborn")
		require.NoError(t, writeEnvironment(env, map[string]string{"DDGOOSE_NAME": "a", "DDGOOSE_TOKEN": "1"}))
		e.run("start", name)
		f.working(0, 0)
		id := e.run("inspect", "--format", "{{.Id}}", name)
		text, err := os.ReadFile("/proc/" + e.run("inspect", "--format", "{{.State.Pid}}", name) + "/cgroup")
		require.NoError(t, err)
		var old []string
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "0::") && strings.Contains(line, id) {
				old = append(old, line)
			}
		}
		p := findProcesses(old...)
		if p == nil {
			t.Skip("SKIPPED: the engine uses cgroups of version 2 alone")
		}
		require.NoFileExists(t, p.file("kill"))
		require.Len(t, p.list(), 4)
		for p.populated() {
			p.kill()
		}
		f.until("the engine sees it", func() bool { return !e.runs(name) })
	})
}

func atoi(t *testing.T, s string) (n int) {
	t.Helper()
	_, err := fmt.Sscan(s, &n)
	require.NoError(t, err)
	return n
}
