//go:build linux

package run

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
)

// fakeSystemd knows one unit, web.service, on a bus of its own.
type fakeSystemd struct {
	t    *testing.T
	path dbus.ObjectPath
	bus  string

	mu         sync.Mutex
	deaf       bool // to a stop
	unkillable bool // it never ends a unit
	starts     int
	kills      int
	unit       map[string]any
	onActive   func() // may be nil
}

const webUnit = "web.service"

func newFakeSystemd(t *testing.T) *fakeSystemd {
	t.Helper()
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skipf("SKIPPED: there is no message bus to speak to a systemd by: %v", err)
	}
	dir := shortDir(t)
	f := &fakeSystemd{t: t, bus: "unix:path=" + filepath.Join(dir, "bus")}
	config := filepath.Join(dir, "bus.conf")
	require.NoError(t, os.WriteFile(config, []byte(`<busconfig><type>session</type><listen>`+f.bus+`</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600))
	cmd := exec.Command(daemon, "--nofork", "--nopidfile", "--print-address", "--config-file", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)

	conn, err := dbus.Connect(f.bus)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // the bus goes too
	f.path = dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + systemd.PathBusEscape(webUnit))
	f.unit = map[string]any{
		"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "static", "Restart": "no", "ControlGroup": "",
		"Job": job{0, "/"}, "TriggeredBy": []string{}, "WantedBy": []string{}, "RequiredBy": []string{}, "BoundBy": []string{}, "UpheldBy": []string{},
		"ExecStop": []startable{}, "ExecStopPost": []startable{}, "ExecReload": []startable{}, "RestartForceExitStatus": exitStatus{},
		"ExecMainCode": int32(0), "ExecMainStatus": int32(0), "ExecMainStartTimestampMonotonic": uint64(0),
	}
	require.NoError(t, conn.Export(fakeManager{f}, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"))
	require.NoError(t, conn.Export(fakeUnit{f}, f.path, "org.freedesktop.DBus.Properties"))
	_, err = conn.RequestName("org.freedesktop.systemd1", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	return f
}

// startable is what systemd says of one command of a unit, in part.
type startable struct {
	Path string
	Argv []string
}

// exitStatus is the type of the property RestartForceExitStatus.
type exitStatus struct{ Codes, Signals []int32 }

// job is the type of the property Job.
type job struct {
	ID   uint32
	Path dbus.ObjectPath
}

// fakeManager has the methods of systemd's Manager that a run calls.
type fakeManager struct{ f *fakeSystemd }

func (m fakeManager) StartUnit(string, string) (dbus.ObjectPath, *dbus.Error) {
	m.f.set(func(u map[string]any) {
		m.f.starts++
		u["ActiveState"] = "active"
		u["ExecMainStartTimestampMonotonic"] = uint64(m.f.starts)
		u["ExecMainCode"], u["ExecMainStatus"] = int32(0), int32(0)
		if m.f.onActive != nil {
			m.f.onActive()
		}
	})
	return "/job/1", nil
}

func (m fakeManager) StopUnit(string, string) (dbus.ObjectPath, *dbus.Error) {
	m.f.set(func(u map[string]any) {
		if u["ActiveState"] != "active" {
			return
		}
		if m.f.unkillable {
			return
		}
		u["ActiveState"] = "deactivating"
		if !m.f.deaf {
			m.f.over(unix.SIGTERM)
		}
	})
	return "/job/2", nil
}

func (m fakeManager) KillUnit(_, who string, signal int32) *dbus.Error {
	m.f.set(func(u map[string]any) {
		if who == "all" && signal == int32(unix.SIGKILL) && u["ActiveState"] != "inactive" {
			m.f.kills++
			if !m.f.unkillable {
				m.f.over(unix.SIGKILL)
			}
		}
	})
	return nil
}

type fakeUnit struct{ f *fakeSystemd }

func (u fakeUnit) GetAll(string) (map[string]dbus.Variant, *dbus.Error) {
	all := map[string]dbus.Variant{}
	u.f.set(func(unit map[string]any) {
		for name, value := range unit {
			all[name] = dbus.MakeVariant(value)
		}
	})
	return all, nil
}

// set reads or changes the unit.
func (f *fakeSystemd) set(change func(unit map[string]any)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.unit)
}

// over ends the unit by a signal. The lock is held.
func (f *fakeSystemd) over(signal unix.Signal) {
	f.unit["ActiveState"], f.unit["ExecMainCode"], f.unit["ExecMainStatus"] = "inactive", int32(2), int32(signal)
}

func (f *fakeSystemd) runs() (runs bool) {
	f.set(func(u map[string]any) { runs = u["ActiveState"] != "inactive" && u["ActiveState"] != "failed" })
	return runs
}

func (f *fakeSystemd) web(n *notes) *managed {
	f.t.Helper()
	f.t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", f.bus)
	m, err := newManaged("", webUnit, slowLease, n.note)
	require.NoError(f.t, err)
	return m
}

func TestUnitsEndIsTheCommands(t *testing.T) {
	f := newFakeSystemd(t)
	m := f.web(&notes{})
	outcomes := m.start(nil)
	apitest.Eventually(t, f.runs, "it runs")
	f.set(func(u map[string]any) {
		u["ActiveState"], u["ExecMainCode"], u["ExecMainStatus"] = "failed", int32(1), int32(7)
	})
	require.Equal(t, outcome{code: 7}, <-outcomes)
	apitest.Eventually(t, m.gone, "it is gone")

	outcomes = m.start(nil)
	apitest.Eventually(t, f.runs, "it runs")
	m.stop()
	require.Equal(t, outcome{code: 143}, <-outcomes)
	apitest.Eventually(t, m.gone, "it is gone")

	f.set(func(map[string]any) { f.deaf = true })
	outcomes = m.start(nil)
	apitest.Eventually(t, f.runs, "it runs")
	m.stop()
	apitest.Eventually(t, func() (told bool) {
		f.set(func(u map[string]any) { told = u["ActiveState"] == "deactivating" })
		return told
	}, "it is told")
	killUntilGone(m, func() {})
	require.Equal(t, outcome{code: 137}, <-outcomes)
}

func TestUnitThatDidNotBeginHasNoCodeOfAnEarlierTime(t *testing.T) {
	f := newFakeSystemd(t)
	f.set(func(u map[string]any) {
		u["ExecMainCode"] = int32(1) // of an earlier start, with code 0
		f.onActive = func() { u["ActiveState"], u["ExecMainStartTimestampMonotonic"] = "inactive", uint64(0) }
	})
	require.Equal(t, outcome{code: CodeNotRunable}, <-f.web(&notes{}).start(nil))
}

func TestUnitWhoseStartWaitsIsNotGone(t *testing.T) {
	f := newFakeSystemd(t)
	f.set(func(u map[string]any) {
		f.deaf, f.onActive = true, func() { u["ActiveState"], u["Job"] = "inactive", job{5, "/job/5"} }
	})
	m := f.web(&notes{})
	outcomes := m.start(nil)
	apitest.Eventually(t, func() bool {
		s, err := m.see(nil)
		return err == nil && s.running
	}, "it waits")
	require.False(t, m.gone())
	f.set(func(u map[string]any) { u["Job"], u["ActiveState"] = job{0, "/"}, "active" })
	m.kill()
	require.Equal(t, outcome{code: 137}, <-outcomes)
}

func TestUnitThatSystemdStartsByItselfIsRefused(t *testing.T) {
	f := newFakeSystemd(t)
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{"LoadState", "not-found", "unit web.service: systemd has no such unit: LoadState=not-found"},
		{"Restart", "on-failure", "unit web.service: Restart=on-failure starts it where the goose is not: set Restart=no; ddgoose run --restart does it"},
		{"UnitFileState", "enabled", "unit web.service: it is enabled, so systemd starts it at boot: systemctl disable web.service"},
		{"TriggeredBy", []string{"web.timer"}, "unit web.service: web.timer starts it where the goose is not (TriggeredBy): disable that"},
	} {
		var was any
		f.set(func(u map[string]any) { was, u[c.name] = u[c.name], c.value })
		_, err := f.web(&notes{}).claim()
		require.EqualError(t, err, c.want)
		f.set(func(u map[string]any) { u[c.name] = was })
	}
	n := &notes{}
	f.set(func(u map[string]any) { u["ActiveState"] = "active" })
	release, err := f.web(n).claim()
	require.NoError(t, err)
	defer release()
	require.Equal(t, []string{"unit web.service runs already, and not for this goose: stopping it"}, n.said())
	require.False(t, f.runs())
}

// process starts a process in the unit's own cgroup.
func (f *fakeSystemd) process() *exec.Cmd {
	f.t.Helper()
	parent := needCgroup(f.t)
	group := &cgroup{filepath.Join(parent, "ddgoose-test-"+strconv.Itoa(os.Getpid()))}
	require.NoError(f.t, group.make())
	f.t.Cleanup(group.remove)
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(f.t, cmd.Start())
	require.NoError(f.t, os.WriteFile(group.file("procs"), fmt.Append(nil, cmd.Process.Pid), 0))
	f.set(func(u map[string]any) { u["ControlGroup"] = strings.TrimPrefix(group.dir, mountOf(f.t, parent)) })
	return cmd
}

// TestUnitIsGoneWhenItsProcessesAre, before systemd finds that, unless it starts others then.
func TestUnitIsGoneWhenItsProcessesAre(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		gone  bool
	}{
		{"ActiveState", "active", true}, {"ActiveState", "activating", false},
		{"ExecStop", []startable{{"/bin/stop", nil}}, false}, {"ExecStopPost", []startable{{"/bin/tidy", nil}}, false},
		{"ExecReload", []startable{{"/bin/kill", nil}}, false},
		{"RestartForceExitStatus", exitStatus{Signals: []int32{int32(unix.SIGKILL)}}, false}, {"Job", job{5, "/job/5"}, false},
	} {
		t.Run(fmt.Sprintf("%s=%v", c.name, c.value), func(t *testing.T) {
			f := newFakeSystemd(t)
			f.set(func(map[string]any) { f.unkillable, f.onActive = true, func() { f.unit[c.name] = c.value } })
			process := f.process()
			m := f.web(&notes{})
			outcomes := m.start(nil)
			apitest.Eventually(t, func() bool {
				m.mu.Lock()
				defer m.mu.Unlock()
				return !m.mu.latest.Starting && m.mu.latest.Procs.populated()
			}, "its processes are seen after its start")
			require.False(t, m.gone())
			m.kill()
			require.Error(t, process.Wait(), "it was killed")
			apitest.Eventually(t, func() bool { return !m.procs().populated() && m.asked.Load() == 0 }, "its cgroup is empty, and systemd was asked")
			require.True(t, f.runs(), "says systemd")
			require.Equal(t, c.gone, m.gone())
			f.set(func(u map[string]any) { f.unkillable, u["Job"] = false, job{0, "/"}; f.over(unix.SIGKILL) })
			require.Equal(t, 137, (<-outcomes).code)
			apitest.Eventually(t, m.gone, "it is gone")
		})
	}
}

// TestWhatAUnitLeavesBehindIsKilled: with KillMode=process systemd takes a unit for
// inactive whose processes live on.
func TestWhatAUnitLeavesBehindIsKilled(t *testing.T) {
	f := newFakeSystemd(t)
	left := f.process()
	m := f.web(&notes{})
	outcomes := m.start(nil)
	apitest.Eventually(t, func() bool { return f.runs() && m.procs().populated() }, "it runs, and its processes are seen")
	require.Equal(t, 7*time.Second, m.killTime(func(n int) time.Duration { return time.Duration(n) * 7 * time.Second }))
	f.set(func(map[string]any) { f.over(unix.SIGTERM) })
	require.False(t, m.gone())
	killUntilGone(m, func() {})
	require.Equal(t, 143, (<-outcomes).code)
	require.Error(t, left.Wait())
	apitest.Eventually(t, m.gone, "it is gone") // its outcome comes a moment before
}

func TestRunOfAUnit(t *testing.T) {
	f := alone(t)
	s := newFakeSystemd(t)
	f.env = []string{"DBUS_SYSTEM_BUS_ADDRESS=" + s.bus}
	s.set(func(map[string]any) { s.deaf = true })
	p := f.start("a", []string{"--unit", webUnit, "--grace", "100ms"})
	f.until("it runs", s.runs)
	require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(p), f.log())
	require.False(t, s.runs())
	require.Equal(t, 2, f.ended(f.start("a", []string{"--unit", "web"})))
	require.Contains(t, f.log(), "want NAME.service")
}
