//go:build linux

package run

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/cmd/ddgoose/flock"
)

// patience bounds the wait for anything; a busy machine needs it.
const patience = apitest.Patience

// farm is a local flock with a `ddgoose run` beside each agent.
type farm struct {
	t       *testing.T
	dir     string
	binary  string
	flock   *flock.Flock
	spawn   *flock.Spawner
	journal journal
	runs    map[string]*runProcess
	stderr  *os.File // of every run; nil: its log
	env     []string // more of every run's environment
}

// runProcess is a `ddgoose run`.
type runProcess struct {
	cmd            *exec.Cmd
	flags, command []string
	gone           chan struct{}
	code           int // valid when gone is closed
}

// newFarm starts agents and waits until they have a goose.
func newFarm(t *testing.T, opts flock.Options) *farm {
	t.Helper()
	dir := shortDir(t)
	f := &farm{t: t, dir: dir, binary: binary(t), spawn: flock.NewSpawner(), runs: map[string]*runProcess{}}
	f.journal.path = filepath.Join(dir, "records")
	var err error
	opts.Binary, opts.Dir = f.binary, filepath.Join(dir, "f")
	f.flock, err = flock.Prepare(opts)
	require.NoError(t, err)
	t.Cleanup(f.close)
	require.NoError(t, f.flock.StartAll())
	f.anyGoose()
	return f
}

func (f *farm) close() {
	for _, p := range f.runs {
		_ = p.cmd.Process.Signal(unix.SIGCONT)
		if guard := p.guard(); guard != 0 {
			_ = unix.Kill(guard, unix.SIGCONT) // run waits for ever for one that is stopped and does no work
		}
		_ = p.cmd.Process.Signal(unix.SIGTERM) // it may have ended
		_ = p.cmd.Process.Signal(unix.SIGINT)  // without grace
		<-p.gone
	}
	f.flock.Close()
	f.spawn.Close()
}

// until waits for a condition.
func (f *farm) until(what string, ok func() bool) {
	f.t.Helper()
	apitest.Eventually(f.t, ok, "%s\n%v", what, f)
}

// goose names the agent that is goose by its own word.
func (f *farm) goose() string {
	for _, name := range f.flock.Names() {
		a, err := f.flock.Agent(name)
		require.NoError(f.t, err)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		s, err := a.Client().Status(ctx)
		cancel()
		if err == nil && s.Lease.Valid {
			return name
		}
	}
	return ""
}

// anyGoose waits until there is a goose.
func (f *farm) anyGoose() (name string) {
	f.t.Helper()
	f.until("a goose", func() bool { name = f.goose(); return name != "" })
	return name
}

// start runs a command by `ddgoose run` beside an agent.
func (f *farm) start(name string, flags []string, command ...string) *runProcess {
	f.t.Helper()
	a, err := f.flock.Agent(name)
	require.NoError(f.t, err)
	args := append([]string{"run", "--socket", a.Socket}, flags...)
	cmd := exec.Command(f.binary, append(append(args, "--"), command...)...)
	cmd.Env = cleanEnviron(append(f.env, childEnv+"="+f.dir)...)
	log, err := os.OpenFile(filepath.Join(f.dir, "run-"+name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	require.NoError(f.t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if f.stderr != nil {
		cmd.Stderr = f.stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(f.t, f.spawn.Start(cmd))
	p := &runProcess{cmd: cmd, flags: flags, command: command, gone: make(chan struct{})}
	f.runs[name] = p
	go func() {
		defer close(p.gone)
		_ = cmd.Wait() // the code says it
		p.code = codeOf(cmd.ProcessState.Sys().(syscall.WaitStatus))
	}()
	return p
}

// ended waits for the end of a run and gives its exit code.
func (f *farm) ended(p *runProcess) int {
	f.t.Helper()
	select {
	case <-p.gone:
		return p.code
	case <-time.After(patience):
		require.Fail(f.t, "run does not end", "%s", f.log())
		return 0
	}
}

// String is for failures.
func (f *farm) String() string { return f.log() }

// log gives what the runs have printed.
func (f *farm) log() string {
	var all strings.Builder
	for _, name := range f.flock.Names() {
		text, err := os.ReadFile(filepath.Join(f.dir, "run-"+name+".log"))
		if err == nil {
			fmt.Fprintf(&all, "--- run beside %s\n%s", name, text)
		}
	}
	return all.String()
}

// guard finds the guard of a run; 0: it has none now.
func (p *runProcess) guard() int {
	for _, child := range childrenByTask(process{pid: p.cmd.Process.Pid}) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/cmdline")
		if err == nil && strings.Contains(string(text), "run-guard") {
			return child
		}
	}
	return 0
}

// guard waits for the guard of the run beside an agent.
func (f *farm) guard(name string) (pid int) {
	f.t.Helper()
	f.until("a guard", func() bool {
		pid = f.runs[name].guard()
		return pid != 0
	})
	return pid
}

// records gives what the children have written.
func (f *farm) records() []record {
	require.NoError(f.t, f.journal.read())
	return f.journal.records
}

// working waits until a start of the command with at least this token has all
// its processes (stubborn or not: four), and gives its first record.
func (f *farm) working(token uint64, after time.Duration) (first record) {
	f.t.Helper()
	f.until(fmt.Sprintf("work with token %d or more", token), func() bool {
		counts := map[string]int{}
		for _, r := range slices.Backward(f.records()) {
			if r.what != "start" || r.token < token || r.at < after {
				continue
			}
			if counts[r.work]++; counts[r.work] == 4 {
				first = r
				return true
			}
		}
		return false
	})
	return first
}

// noOverlap demands that no two starts of the command were alive at once.
func (f *farm) noOverlap() {
	f.t.Helper()
	type life struct {
		record
		end time.Duration
	}
	lives := map[string]*life{}
	for _, r := range f.records() {
		if other, found := strings.CutPrefix(r.what, "overlap:"); found {
			require.Fail(f.t, "two are alive at once", "%+v found %s alive\n%s\n%s", r, other, f.story(other), f.log())
		}
		l := lives[r.work]
		if l == nil {
			l = &life{record: r}
			lives[r.work] = l
		}
		l.at, l.end = min(l.at, r.at), max(l.end, r.at)
	}
	var all []*life
	for _, l := range lives {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *life) int { return int(a.at - b.at) })
	for i := 1; i < len(all); i++ {
		before, l := all[i-1], all[i]
		require.Less(f.t, before.end, l.at, "token %d at %s lived %v into token %d at %s",
			before.token, before.agent, before.end-l.at, l.token, l.agent)
		require.LessOrEqual(f.t, before.token, l.token, "tokens only grow")
	}
}

// story gives the first and the last that was heard of each process of a start.
func (f *farm) story(work string) string {
	var all strings.Builder
	last := map[int]record{}
	for _, r := range f.records() {
		if r.work == work {
			if last[r.pid].pid == 0 {
				fmt.Fprintf(&all, "%d began at %v\n", r.pid, r.at)
			}
			last[r.pid] = r
		}
	}
	for pid, r := range last {
		fmt.Fprintf(&all, "%d last seen at %v\n", pid, r.at)
	}
	return all.String()
}
