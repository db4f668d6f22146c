//go:build linux

package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/cmd/ddgoose/flock"
)

// fakeEngine knows one container, "web", without processes.
type fakeEngine struct {
	t      *testing.T
	socket string
	hold   chan struct{} // a start waits until it is closed; nil: it does not

	mu         sync.Mutex
	cond       *sync.Cond
	pid        int // of its first process; 0: it has none
	running    bool
	code       int
	deaf       bool // to SIGTERM
	unkillable bool // even to SIGKILL
	policy     string
	removes    bool
	removed    bool
	asked      []string
}

func newFakeEngine(t *testing.T) *fakeEngine {
	e := &fakeEngine{t: t, socket: filepath.Join(shortDir(t), "engine.sock"), policy: "no"}
	e.cond = sync.NewCond(&e.mu)
	l, err := net.Listen("unix", e.socket)
	require.NoError(t, err)
	server := &http.Server{Handler: e}
	go func() { _ = server.Serve(l) }() // until it is closed
	t.Cleanup(func() {
		e.end(0)
		_ = server.Close() // nothing is left to be answered
	})
	return e
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what, found := strings.CutPrefix(r.URL.Path, "/containers/web/")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.Method+" "+what)
	answer := func(code int, body any) {
		w.WriteHeader(code)
		if err := json.NewEncoder(w).Encode(body); err != nil {
			e.t.Log(err)
		}
	}
	switch {
	case !found || e.removed:
		answer(404, map[string]any{"message": "No such container"})
	case what == "json":
		pid := 0
		if e.running {
			pid = e.pid
		}
		answer(200, map[string]any{
			"Id":         e.id(),
			"State":      map[string]any{"Running": e.running, "ExitCode": e.code, "Pid": pid},
			"HostConfig": map[string]any{"RestartPolicy": map[string]any{"Name": e.policy}, "AutoRemove": e.removes},
		})
	case what == "start":
		if e.hold != nil {
			e.mu.Unlock()
			<-e.hold
			e.mu.Lock()
		}
		e.running, e.code = true, 0
		w.WriteHeader(204)
	case what == "stop":
		for !e.deaf && e.running || e.deaf && e.running && r.Context().Err() == nil {
			if !e.deaf {
				e.running, e.code = false, 143
				e.cond.Broadcast()
				break
			}
			e.cond.Wait()
		}
		w.WriteHeader(204)
	case what == "kill" && !e.running:
		answer(409, map[string]any{"message": "Container is not running"})
	case what == "kill":
		if !e.unkillable {
			e.running, e.code = false, 137
			e.cond.Broadcast()
		}
		w.WriteHeader(204)
	}
}

func (e *fakeEngine) id() string { return "fake-" + filepath.Base(filepath.Dir(e.socket)) }

// process starts a process in the container's own cgroup.
func (e *fakeEngine) process() *exec.Cmd {
	e.t.Helper()
	group := &cgroup{filepath.Join(needCgroup(e.t), e.id())}
	group.remove() // one that was killed kills what starts in it
	require.NoError(e.t, group.make())
	e.t.Cleanup(group.remove)
	dir, err := group.open()
	require.NoError(e.t, err)
	defer dir.Close()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Pdeathsig: syscall.SIGKILL}
	require.NoError(e.t, cmd.Start())
	return cmd
}

// end has the container end by itself.
func (e *fakeEngine) end(code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running, e.code = false, code
	e.cond.Broadcast()
}

func (e *fakeEngine) runs() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running
}

// set changes something.
func (e *fakeEngine) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

// count counts the requests of one kind.
func (e *fakeEngine) count(request string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.asked {
		if r == request {
			n++
		}
	}
	return n
}

// notes are what a managed says.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (n *notes) said() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.all)
}

// web gives the actor of the fake's container.
func (e *fakeEngine) web(n *notes) *managed {
	e.t.Helper()
	e.t.Setenv("DOCKER_HOST", "unix://"+e.socket)
	m, err := newManaged("web", "", slowLease, n.note)
	require.NoError(e.t, err)
	return m
}

func TestContainersEndIsTheCommands(t *testing.T) {
	e := newFakeEngine(t)
	m := e.web(&notes{})
	require.True(t, m.gone())
	outcomes := m.start(nil)
	require.False(t, m.gone())
	apitest.Eventually(t, e.runs, "it runs")
	e.end(7)
	require.Equal(t, outcome{code: 7}, <-outcomes)
	apitest.Eventually(t, m.gone, "it is gone")
}

func TestContainerIsKilledThoughItsStopIsBusy(t *testing.T) {
	e := newFakeEngine(t)
	m := e.web(&notes{})
	e.set(func() { e.deaf, e.unkillable = true, true })
	outcomes := m.start(nil)
	apitest.Eventually(t, e.runs, "it runs")
	m.stop()
	apitest.Eventually(t, func() bool { return e.count("POST stop") == 1 }, "the stop")
	for n := range 3 { // that the engine took the kill is no proof
		m.kill()
		apitest.Eventually(t, func() bool { return e.count("POST kill") > n && !m.killing.Load() }, "a kill")
	}
	require.False(t, m.gone())
	e.set(func() { e.unkillable = false })
	killUntilGone(m, func() {})
	require.Equal(t, outcome{code: 137}, <-outcomes)
	require.False(t, e.runs())
}

func TestContainerThatStartsLateDoesNotOutliveItsKill(t *testing.T) {
	e := newFakeEngine(t)
	e.hold = make(chan struct{})
	m := e.web(&notes{})
	outcomes := m.start(nil)
	apitest.Eventually(t, func() bool { return e.count("POST start") == 1 }, "the start")
	m.kill()
	apitest.Eventually(t, func() bool { return e.count("POST kill") == 1 && !m.killing.Load() }, "a kill")
	require.False(t, m.gone(), "the engine may still start it")
	close(e.hold)
	apitest.Eventually(t, e.runs, "it runs")
	killUntilGone(m, func() {})
	require.False(t, e.runs())
	require.Equal(t, outcome{code: 137}, <-outcomes)
}

// TestContainerIsGoneWhenItsProcessesAre, before its engine finds that: on a busy machine
// that takes longer than a lease. An engine that would start it again must say so itself.
func TestContainerIsGoneWhenItsProcessesAre(t *testing.T) {
	for _, policy := range []string{"no", "always"} {
		e := newFakeEngine(t)
		process := e.process()
		e.set(func() { e.pid, e.unkillable = process.Process.Pid, true })
		m := e.web(&notes{})
		outcomes := m.start(nil)
		apitest.Eventually(t, func() bool { return m.procs().populated() }, "its processes are seen")
		if policy != "no" { // somebody changes it meanwhile
			e.set(func() { e.policy = policy })
			asked := e.count("GET json")
			apitest.Eventually(t, func() bool { return e.count("GET json") > asked+1 }, "its policy is seen")
		}
		require.False(t, m.gone())
		m.kill()
		require.Error(t, process.Wait(), "it was killed")
		if policy == "no" {
			apitest.Eventually(t, m.gone, "it is gone")
		}
		require.True(t, e.runs(), "says the engine")
		require.Equal(t, policy == "no", m.gone())
		again := m.start(nil)
		require.False(t, m.gone(), "the next start is under way")
		require.Empty(t, again)
		e.set(func() { e.pid = 0 })
		e.end(137)
		require.Equal(t, 137, (<-outcomes).code)
		if policy != "no" {
			require.Equal(t, CodeNotRunable, (<-again).code)
			continue
		}
		apitest.Eventually(t, e.runs, "the next start")
		e.end(3)
		require.Equal(t, 3, (<-again).code)
		apitest.Eventually(t, m.gone, "it is gone")
	}
}

// TestContainerIsKilledWhileItsEngineStartsIt: its process is there before the engine says so.
func TestContainerIsKilledWhileItsEngineStartsIt(t *testing.T) {
	e := newFakeEngine(t)
	e.hold = make(chan struct{})
	m := e.web(&notes{})
	outcomes := m.start(nil)
	apitest.Eventually(t, func() bool { return e.count("POST start") == 1 }, "the start")
	process := e.process()
	m.kill()
	require.Error(t, process.Wait(), "it was killed")
	require.False(t, m.gone(), "the engine may start another one")
	late := e.process()
	e.set(func() { e.pid, e.unkillable = late.Process.Pid, true }) // only its cgroup ends it
	close(e.hold)
	require.Error(t, late.Wait(), "killed when it was seen")
	apitest.Eventually(t, m.gone, "it is gone")
	e.end(137)
	require.Equal(t, 137, (<-outcomes).code)
}

// TestHeirNeedsNoEngineToKnowThatAContainerIsGone: the guard has told where its processes are.
func TestHeirNeedsNoEngineToKnowThatAContainerIsGone(t *testing.T) {
	e := newFakeEngine(t)
	guards, heir := e.web(&notes{}), e.web(&notes{})
	guards.found = func(told traces) {
		text, err := json.Marshal(report{Traces: &told})
		require.NoError(t, err)
		var m report
		require.NoError(t, json.Unmarshal(text, &m))
		heir.learn(*m.Traces)
	}
	process := e.process()
	e.set(func() { e.pid, e.unkillable = process.Process.Pid, true })
	outcomes := guards.start(nil)
	heir.doubt()
	require.False(t, heir.gone(), "a start is under way")
	apitest.Eventually(t, func() bool { return guards.procs().populated() }, "its processes are seen")
	heir.doubt()
	require.False(t, heir.gone())
	heir.kill()
	require.Error(t, process.Wait(), "it was killed")
	require.True(t, heir.gone())
	require.True(t, e.runs(), "says the engine")
	e.end(137)
	require.Equal(t, 137, (<-outcomes).code)
}

// TestWhatForksAwayIsFrozenAndKilled where there is no cgroup.kill: each process of the
// command starts the next one and ends, faster than one can look.
func TestWhatForksAwayIsFrozenAndKilled(t *testing.T) {
	const freezer = "/sys/fs/cgroup/freezer"
	dir := filepath.Join(freezer, fmt.Sprintf("ddgoose-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("SKIPPED: no cgroups of version 1 can be made here: %v", err)
	}
	t.Cleanup(func() { apitest.Eventually(t, func() bool { return unix.Rmdir(dir) == nil }, "its end") })
	p := findProcesses("6:freezer:/" + filepath.Base(dir))
	require.Equal(t, &processes{cgroup: cgroup{dir}, freezer: dir}, p)
	for range 30 { // one look is lucky often
		cmd := exec.Command("sh", "-c", `echo $$ > "$0"/cgroup.procs; f() { (f &) ; exit; }; f & f & f & f & wait`, dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		require.NoError(t, cmd.Run())
		require.True(t, p.populated())
		p.kill()
		apitest.Eventually(t, func() bool { return !p.populated() }, "one call is enough")
	}
}

func TestContainerThatMayNotBeRunIsRefused(t *testing.T) {
	e := newFakeEngine(t)
	m := e.web(&notes{})
	for _, c := range []struct {
		is   func()
		want string
	}{
		{func() { e.policy = "always" }, "container web: its restart policy always starts it where the goose is not: docker update --restart no web"},
		{func() { e.policy, e.removes = "no", true }, "container web: it was created with --rm: the engine removes it once it has ended"},
	} {
		e.set(c.is)
		_, err := m.claim()
		require.EqualError(t, err, c.want)
		o := <-m.start(nil)
		require.EqualError(t, o.err, c.want)
		require.Equal(t, CodeNotRunable, o.code)
		apitest.Eventually(t, m.gone, "it is gone")
	}
	require.Zero(t, e.count("POST start"))
	none, err := newManaged("nobody", "", 0, nil)
	require.NoError(t, err)
	_, err = none.claim()
	require.EqualError(t, err, "container nobody: the engine says: No such container")
	t.Setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
	_, err = newManaged("web", "", 0, nil)
	require.ErrorContains(t, err, "only an engine of this machine")
}

func TestContainerThatRunsAlreadyIsStoppedFirstAndHeldOnce(t *testing.T) {
	e := newFakeEngine(t)
	n := &notes{}
	m := e.web(n)
	e.set(func() { e.running = true })
	release, err := m.claim()
	require.NoError(t, err)
	require.True(t, m.gone())
	require.False(t, e.runs())
	already := "container web runs already, and not for this goose: stopping it"
	require.Equal(t, []string{already}, n.said())
	_, err = e.web(&notes{}).claim()
	require.EqualError(t, err, "container web: another ddgoose run has it")
	release()
	again, err := e.web(&notes{}).claim()
	require.NoError(t, err)
	again()

	e.set(func() { e.running = true }) // by hand, while this agent was not the goose
	outcomes := m.start(nil)
	apitest.Eventually(t, func() bool { return e.count("POST start") == 1 }, "its start")
	require.Equal(t, []string{already, already}, n.said())
	e.end(3)
	require.Equal(t, 3, (<-outcomes).code)
}

func TestHeirEndsTheContainerOfADeadGuard(t *testing.T) {
	e := newFakeEngine(t)
	m := e.web(&notes{})
	require.True(t, m.gone())
	e.set(func() { e.running = true })
	m.doubt()
	require.False(t, m.gone())
	killUntilGone(m, func() {})
	require.False(t, e.runs())
}

// TestContainerThatRunsOutOfTurnIsKilled: the engine may read a dead guard's start late.
func TestContainerThatRunsOutOfTurnIsKilled(t *testing.T) {
	e := newFakeEngine(t)
	n := &notes{}
	m := e.web(n)
	ctx, cancel := context.WithCancel(t.Context())
	tick, ended := make(chan time.Time), make(chan struct{})
	go func() {
		defer close(ended)
		m.killUnwanted(ctx, tick)
	}()
	look := func() {
		tick <- time.Time{}
		tick <- time.Time{} // the first look has ended
	}
	look()
	require.Empty(t, n.said())
	e.set(func() { e.running = true })
	look()
	require.False(t, e.runs())
	require.Equal(t, []string{"container web runs, though this agent is not the goose: killing it"}, n.said())

	outcomes := m.start(nil)
	apitest.Eventually(t, e.runs, "its own start")
	look()
	require.True(t, e.runs())
	e.end(3)
	require.Equal(t, 3, (<-outcomes).code)
	e.set(func() { e.running = true })
	apitest.Eventually(t, func() bool { look(); return !e.runs() }, "killed again")
	cancel()
	<-ended
}

func TestContainerThatWasRemovedIsGone(t *testing.T) {
	e := newFakeEngine(t)
	m := e.web(&notes{})
	outcomes := m.start(nil)
	apitest.Eventually(t, e.runs, "it runs")
	e.set(func() { e.removed = true })
	require.Equal(t, outcome{code: CodeNotRunable}, <-outcomes)
	m.doubt()
	apitest.Eventually(t, m.gone, "it is gone")
}

func TestRunOfAContainer(t *testing.T) {
	f := alone(t)
	e := newFakeEngine(t)
	f.env = []string{"DOCKER_HOST=unix://" + e.socket}
	env := filepath.Join(f.dir, "env")
	start := func(flags ...string) *runProcess {
		p := f.start("a", append([]string{"--container", "web", "--env-file", env}, flags...))
		f.until("it runs", e.runs)
		return p
	}
	p := start()
	require.Contains(t, f.text(env), "DDGOOSE_TOKEN=")
	e.end(7)
	require.Equal(t, 7, f.ended(p), f.log())

	e.set(func() { e.deaf = true })
	p = start("--grace", "100ms")
	require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(p), f.log())
	require.False(t, e.runs())

	p = start("--restart")
	starts := e.count("POST start")
	require.NoError(t, unix.Kill(f.guard("a"), unix.SIGKILL))
	f.until("it was killed and started again", func() bool { return e.count("POST start") > starts && e.runs() })
	require.Contains(t, f.log(), "the guard has ended (killed)")
	require.NoError(t, p.cmd.Process.Kill())
	f.until("its guard ends it", func() bool { return !e.runs() })

	e.set(func() { e.policy = "always" })
	require.Equal(t, 1, f.ended(f.start("a", []string{"--container", "web"})))
	require.Contains(t, f.log(), "ddgoose: container web: its restart policy always")
}

// TestTheLastWordsOfAGuardCount: it was killed while its engine started the container once
// more, and run learns of its death before it has read of that start.
func TestTheLastWordsOfAGuardCount(t *testing.T) {
	e := newFakeEngine(t)
	heir := e.web(&notes{})
	ended := &processes{cgroup: cgroup{filepath.Join(t.TempDir(), "removed")}}
	heir.learn(traces{Procs: ended, Whole: true}) // of the start before
	r := &runner{managed: heir, left: &crowd{left: 1}}
	w := &guardState{reports: make(chan report, 1)}
	w.reports <- report{Traces: &traces{Starting: true}}
	close(w.reports)
	e.set(func() { e.running, e.unkillable = true, true })
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		r.killAll(w)
	}()
	apitest.Eventually(t, func() bool {
		select {
		case <-killed:
			return true
		default:
			return e.count("POST kill") > 1
		}
	}, "more than one kill, or an end of that")
	require.True(t, e.runs())
	require.Greater(t, e.count("POST kill"), 1, "it runs, so it is not gone")
	e.set(func() { e.unkillable = false })
	<-killed
	require.False(t, e.runs())
}

// TestAPlannedEndWaitsForWhatDiesSlowly: the lease is renewed until all is gone.
func TestAPlannedEndWaitsForWhatDiesSlowly(t *testing.T) {
	t.Parallel()
	e := newFakeEngine(t) // it ends after the runs
	f := newFarm(t, flock.Options{Agents: 3, Lease: calm, Heartbeat: calm / 20})
	e.set(func() { e.deaf, e.unkillable = true, true })
	t.Cleanup(func() { e.set(func() { e.unkillable = false }) })
	f.env = []string{"DOCKER_HOST=unix://" + e.socket}
	goose := f.anyGoose()
	f.start(goose, []string{"--container", "web", "--grace", "100ms"})
	f.until("it runs", e.runs)
	a, err := f.flock.Agent(goose)
	require.NoError(t, err)
	down := make(chan struct{})
	go func() {
		for err := errors.ErrUnsupported; err != nil && e.count("POST kill") == 0; { // none can take over at first
			_, err = a.Client().StepDown(t.Context(), "")
		}
		close(down)
	}()
	f.until("many kills", func() bool { return e.count("POST kill") > 90 }) // two leases at least
	require.Equal(t, goose, f.anyGoose(), f.log())
	e.set(func() { e.unkillable = false })
	<-down
	f.until("its end", func() bool { return !e.runs() })
}
