//go:build linux

package run

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/shape"
)

// fault forces a change of goose. do gets the agent whose run works, and gives
// what undoes it once another works.
type fault struct {
	name string
	do   func(f *farm, name string) (undo func())
}

var faults = []fault{
	{"step-down", func(f *farm, name string) func() {
		f.stepDown(name)
		return func() {}
	}},
	{"agent killed", func(f *farm, name string) func() {
		f.agent(name, unix.SIGKILL)
		return func() {
			a, err := f.flock.Agent(name)
			require.NoError(f.t, err)
			<-a.Gone()
			require.NoError(f.t, f.flock.Start(name))
		}
	}},
	{"run killed", func(f *farm, name string) func() {
		p := f.runs[name]
		require.NoError(f.t, p.cmd.Process.Kill())
		return func() {
			<-p.gone
			f.start(name, p.flags, p.command...)
		}
	}},
	{"guard killed, and step-down", func(f *farm, name string) func() {
		require.NoError(f.t, unix.Kill(f.guard(name), unix.SIGKILL))
		f.stepDown(name)
		return func() {}
	}},
	{"agent stopped", func(f *farm, name string) func() {
		f.agent(name, unix.SIGSTOP)
		return func() { f.agent(name, unix.SIGCONT) }
	}},
	{"run stopped", func(f *farm, name string) func() {
		require.NoError(f.t, f.runs[name].cmd.Process.Signal(unix.SIGSTOP))
		return func() { require.NoError(f.t, f.runs[name].cmd.Process.Signal(unix.SIGCONT)) }
	}},
	{"guard stopped, and step-down", func(f *farm, name string) func() {
		guard := f.guard(name)
		require.NoError(f.t, unix.Kill(guard, unix.SIGSTOP))
		f.stepDown(name)
		// Run has killed it, unless the goose had changed by itself before.
		return func() { _ = unix.Kill(guard, unix.SIGCONT) }
	}},
	{"partition", func(f *farm, name string) func() {
		p, err := shape.Parse(name + "/" + others(f, name))
		require.NoError(f.t, err)
		require.NoError(f.t, f.flock.SetPartition(f.t.Context(), p))
		return func() { require.NoError(f.t, f.flock.SetPartition(f.t.Context(), shape.Shape{})) }
	}},
}

func others(f *farm, name string) (names string) {
	for _, n := range f.flock.Names() {
		if n != name {
			if names != "" {
				names += ","
			}
			names += n
		}
	}
	return names
}

func (f *farm) agent(name string, sig unix.Signal) {
	a, err := f.flock.Agent(name)
	require.NoError(f.t, err)
	require.NoError(f.t, a.Signal(sig))
}

// stepDown asks for a hand-over. It may fail or come too late, as the goose may
// change by itself on a busy machine: what counts is that another works.
func (f *farm) stepDown(name string) {
	a, err := f.flock.Agent(name)
	require.NoError(f.t, err)
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	f.until("step-down of "+name, func() bool {
		_, err := a.Client().StepDown(ctx, "")
		return err == nil || f.goose() != name
	})
}

var (
	overlapChanges = flag.Int("overlap.changes", 12, "how many changes of goose the tests that no two work at once force")
	overlapFor     = flag.Duration("overlap.for", 0, "force no more changes after this long; 0: all")
	overlapCrowd   = flag.Int("overlap.crowd", 0, "how many more processes each command of TestNoTwoCommandsAreAliveAtOnce has")
	overlapLease   = flag.Duration("overlap.lease", 0, "the length of a lease; 0: the profile's")
	overlapNice    = flag.Int("overlap.nice", 0, "the nice value of each command of TestNoTwoCommandsAreAliveAtOnce")
	overlapLoad    = flag.Int("overlap.load", 0, "how many processes do nothing but use a processor meanwhile")
)

// TestNoTwoCommandsAreAliveAtOnce forces changes of goose in every way we know.
// One command of three ignores SIGTERM; each has children in its group, in a
// session of their own, and orphaned by a double fork.
func TestNoTwoCommandsAreAliveAtOnce(t *testing.T) {
	f := newFarm(t, flock.Options{Agents: 3, Lease: *overlapLease, Heartbeat: *overlapLease / 10})
	f.burn(*overlapLoad)
	for i, name := range f.flock.Names() {
		var flags, command = []string{"--grace", "300ms"}, []string{"nice", "-n", strconv.Itoa(*overlapNice), self(t)}
		if *overlapCrowd > 0 {
			command = append(command, fmt.Sprintf("crowd=%d", *overlapCrowd))
		}
		if i == 1 {
			command = append(command, "stubborn")
		}
		f.start(name, flags, command...)
	}
	f.force(*overlapChanges)
}

// force changes the goose in every way we know, one after the other.
func (f *farm) force(changes int) {
	t := f.t
	t.Helper()
	now := f.working(0, 0)
	for i, end := 0, time.Now().Add(*overlapFor); i < changes && (*overlapFor == 0 || time.Now().Before(end)); i++ {
		fault := faults[i%len(faults)]
		began := boottime.Now()
		undo := fault.do(f, now.agent)
		was := now
		now = f.working(was.token+1, 0)
		t.Logf("%3d %-28s %s token %d -> %s token %d in %v", i+1, fault.name, was.agent, was.token, now.agent, now.token, (now.at - began).Round(time.Millisecond))
		undo()
		f.noOverlap()
		f.until("a run beside every agent", func() bool { return f.attached() })
		now = f.working(was.token+1, 0)
	}
	f.noOverlap()
	f.spare()
}

// TestNoTwoCommandsAreAliveAtOnceOnABusyMachine does it beside 4, 8 and 16 other
// processes, as root and as a user who may have no priority and make no cgroup.
func TestNoTwoCommandsAreAliveAtOnceOnABusyMachine(t *testing.T) {
	if os.Getenv("DDGOOSE_TEST_EXTRA") == "" || os.Geteuid() != 0 {
		t.Skip("set DDGOOSE_TEST_EXTRA, as root")
	}
	for _, load := range []int{4, 8, 16} {
		for user, id := range map[string]uint32{"root": 0, "nobody": nobody} {
			t.Run(fmt.Sprintf("load %d as %s", load, user), func(t *testing.T) {
				t.Logf("%s", asUser(t, id, "TestNoTwoCommandsAreAliveAtOnce", fmt.Sprintf("-overlap.changes=%d", *overlapChanges), fmt.Sprintf("-overlap.load=%d", load)))
			})
		}
	}
}

// nobody is a user who may have no priority and make no cgroup.
const nobody = 65534

// asUser runs a test of this program as another user, and gives what it prints.
func asUser(t *testing.T, id uint32, test string, flags ...string) string {
	t.Helper()
	dir := shortDir(t)
	require.NoError(t, os.Chmod(dir, 0o777))  // for the user's files
	program := filepath.Join(dir, "run.test") // not every user may look where this one is
	copyFile(t, self(t), program)
	copyFile(t, binary(t), filepath.Join(dir, "ddgoose"))
	cmd := exec.CommandContext(t.Context(), program, append([]string{"-test.v", "-test.timeout=60m", "-test.run=^" + test + "$"}, flags...)...)
	cmd.Dir = dir
	cmd.Env = cleanEnviron("TMPDIR="+dir, "HOME="+dir, binaryEnv+"="+filepath.Join(dir, "ddgoose"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}, Pdeathsig: syscall.SIGTERM}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+test)
	return string(out)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	apitest.WriteExecutable(t, to, string(text))
}

// burn uses processors until the test ends. Linux shares processors out among sessions first,
// so each burner has one of its own: all in one would be a load of 1.
func (f *farm) burn(processes int) {
	for range processes {
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
		require.NoError(f.t, f.spawn.Start(cmd))
		f.t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		})
	}
}

// spare demands that all was gone before the lease's end, each time, as the runs say. It logs how
// much of the lease was left: ended by the guard, or by run because its guard did not. It also
// logs how long kills took.
func (f *farm) spare() {
	f.t.Helper()
	times, late := map[string][]time.Duration{}, []string(nil)
	duration := func(text string) time.Duration {
		d, err := time.ParseDuration(text)
		require.NoError(f.t, err)
		return d
	}
	for _, found := range regexp.MustCompile(`(?m)^(?:.*(token \d+: stopped))?(?:.*killed with (\S+) left)?.*all was gone with (\S+) of the lease left`).FindAllStringSubmatch(f.log(), -1) {
		left, by := duration(found[3]), "of the lease were left at ends by its guard"
		if found[1] == "" {
			by = "of the lease were left at ends by run"
		}
		times[by] = append(times[by], left)
		if left < 0 {
			late = append(late, found[0])
		}
		if found[2] != "" {
			times["a kill took"] = append(times["a kill took"], duration(found[2])-left)
		}
	}
	require.NotEmpty(f.t, times)
	for what, all := range times {
		slices.Sort(all)
		at := func(percent int) time.Duration { return all[(len(all)-1)*percent/100] }
		f.t.Logf("%s: %d times, least %v, 1 %% %v, 10 %% %v, median %v, 90 %% %v, 99 %% %v, most %v", what, len(all), at(0), at(1), at(10), at(50), at(90), at(99), at(100))
	}
	require.Empty(f.t, late, "gone only after the lease's end")
}

// TestFullStderrDelaysNoKill: a run has something to say when its guard is stopped, and must kill first.
func TestFullStderrDelaysNoKill(t *testing.T) {
	f := newFarm(t, flock.Options{Agents: 3, Lease: time.Second, Heartbeat: 100 * time.Millisecond})
	unread, stderr, err := os.Pipe()
	require.NoError(t, err)
	defer unread.Close()
	defer stderr.Close()
	require.NoError(t, stderr.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	for err == nil { // until it is full
		_, err = stderr.Write(make([]byte, 1<<10))
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	f.stderr = stderr
	for _, name := range f.flock.Names() {
		f.start(name, nil, self(t))
	}
	now := f.working(0, 0)
	guard := f.guard(now.agent)
	require.NoError(t, unix.Kill(guard, unix.SIGSTOP))
	for unix.Kill(now.pid, 0) != nil { // the lease was lost by itself: a stopped guard without work may stay
		require.NoError(t, unix.Kill(guard, unix.SIGCONT))
		now = f.working(0, now.at+1) // under the same token, perhaps
		guard = f.guard(now.agent)
		require.NoError(t, unix.Kill(guard, unix.SIGSTOP))
	}
	f.agent(now.agent, unix.SIGKILL)
	f.working(now.token+1, 0)
	f.noOverlap()
	f.until("the end of the guard", func() bool { return f.runs[now.agent].guard() != guard })
}

// attached tells whether every agent answers, and the flock has one goose that all know.
func (f *farm) attached() bool {
	var token uint64
	for _, name := range f.flock.Names() {
		a, err := f.flock.Agent(name)
		require.NoError(f.t, err)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		s, err := a.Client().Status(ctx)
		cancel()
		if err != nil || s.Token == 0 || token != 0 && s.Token != token || f.runs[name].guard() == 0 {
			return false
		}
		token = s.Token
	}
	return true
}
