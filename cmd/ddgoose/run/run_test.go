//go:build linux

package run

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

// calm is a lease that a machine beside some load does not cost: it neither runs out, nor
// do processes here wake too late for it, because of which run would start no work.
const calm = 2 * time.Second

// alone starts one agent, which is the goose at once.
func alone(t *testing.T) *farm {
	t.Parallel()
	return newFarm(t, flock.Options{Agents: 1, Lease: calm, Heartbeat: calm / 20})
}

// slowLease is so long that a busy machine cannot make what is timed by it late.
const slowLease = 5 * time.Second

// slow is alone with slowLease.
func slow(t *testing.T) *farm {
	t.Parallel()
	return newFarm(t, flock.Options{Agents: 1, Lease: slowLease, Heartbeat: slowLease / 10})
}

// text waits until a file has a whole line, and gives it.
func (f *farm) text(path string) string {
	f.t.Helper()
	var text []byte
	f.until(path, func() bool {
		var err error
		text, err = os.ReadFile(path)
		return err == nil && strings.HasSuffix(string(text), "\n")
	})
	return strings.TrimSpace(string(text))
}

// gone waits until no process is left that a child has written of.
func (f *farm) gone() {
	f.t.Helper()
	f.until("the end of all descendants", func() bool {
		for _, r := range f.records() {
			if r.what == "start" && unix.Kill(r.pid, 0) == nil {
				return false
			}
		}
		return true
	})
}

// lastAlive gives how long after a moment the last sign of life of any child was.
func (f *farm) lastAlive(since time.Duration) (d time.Duration) {
	f.t.Helper()
	for _, r := range f.records() {
		d = max(d, r.at-since)
	}
	return d
}

func TestExitCodeIsTheCommandsAndTheAgentStepsDown(t *testing.T) {
	f := alone(t)
	for script, code := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143, "kill -KILL $$": 137} {
		require.Equal(t, code, f.ended(f.start("a", nil, "sh", "-c", script)), script)
	}
}

func TestTwoRunsBesideOneAgentTakeTurnsUnlessTheyShare(t *testing.T) {
	f := alone(t)
	begun := func(who string) (path string, command []string) {
		path = filepath.Join(f.dir, who)
		return path, []string{"sh", "-c", "echo begun > " + path + "; exec sleep 1000"}
	}
	var all []*runProcess
	start := func(flags []string, command []string) *runProcess {
		all = append(all, f.start("a", flags, command...))
		return all[len(all)-1]
	}
	defer func() {
		for _, p := range all {
			_ = p.cmd.Process.Signal(unix.SIGTERM) // it may have ended
			f.ended(p)
		}
	}()
	one, command := begun("one")
	first := start(nil, command)
	f.text(one)
	two, command := begun("two")
	start(nil, command)
	three, command := begun("three")
	start([]string{"--share"}, command)
	f.text(three)
	require.NoFileExists(t, two, "another command works")
	require.NoError(t, first.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(first))
	f.text(two)
}

func TestCommandThatCannotBeStarted(t *testing.T) {
	f := alone(t)
	require.Equal(t, CodeNotFound, f.ended(f.start("a", nil, "no-such-command")))
	plain := filepath.Join(f.dir, "plain")
	apitest.WriteExecutable(t, plain, "no program") // what is no program the kernel finds out
	require.Equal(t, CodeNotRunable, f.ended(f.start("a", nil, plain)))
	require.NoError(t, os.Chmod(plain, 0o600))
	require.Equal(t, CodeNotRunable, f.ended(f.start("a", nil, plain)))
	require.Equal(t, 2, f.ended(f.start("a", nil)), "no command at all")
}

func TestEnvironmentArgumentsAndStdin(t *testing.T) {
	f := alone(t)
	out := filepath.Join(f.dir, "out")
	a, err := f.flock.Agent("a")
	require.NoError(t, err)
	s, err := a.Client().Status(t.Context())
	require.NoError(t, err)
	p := f.start("a", nil, "sh", "-c", `echo "$1|$2|$DDGOOSE_TOKEN|$DDGOOSE_TERM|$DDGOOSE_FLOCK_ID|$DDGOOSE_NAME|$DDGOOSE_SOCKET|$HOME" > "$0"; cat >> "$0"`, out, "two words", "$HOME")
	require.Equal(t, 0, f.ended(p), f.log())
	require.Equal(t, strings.Join([]string{"two words", "$HOME", strconv.FormatUint(s.Token, 10), strconv.FormatUint(s.Term, 10), s.FlockID, "a", a.Socket, os.Getenv("HOME")}, "|"), f.text(out))
}

func TestWhatACommandLeavesBehindEndsWithIt(t *testing.T) {
	f := alone(t)
	p := f.start("a", []string{"--grace", "100ms"}, "sh", "-c", `"$0" stubborn & until [ "$(grep -c start "$1" 2>/dev/null)" = 4 ]; do sleep 0.02; done; exit 3`,
		self(t), f.journal.path)
	require.Equal(t, 3, f.ended(p), f.log())
	f.working(0, 0) // all had begun
	for _, r := range f.records() {
		require.True(t, dead(r.pid), "before run has ended")
	}
}

// dead tells that a process runs no more. On a busy machine the kernel keeps its number for a
// while after all waiters know of its end.
func dead(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

func TestSignalStopsTheCommandWithGraceAndIsNoError(t *testing.T) {
	t.Parallel()
	// A busy machine must not cost this lease, or the command is killed.
	f := newFarm(t, flock.Options{Agents: 1, Lease: calm, Heartbeat: calm / 20})
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		out := filepath.Join(f.dir, sig.String())
		p := f.start("a", []string{"--grace", "1m"}, "sh", "-c", `trap "sleep 2.5; echo ended > '$0'; exit 5" TERM; echo begun > "$0.begun"; while :; do sleep 0.02; done`, out)
		f.text(out + ".begun")
		require.NoError(t, p.cmd.Process.Signal(sig))
		require.Equal(t, CodeStopped, f.ended(p), f.log())
		require.Equal(t, "ended", f.text(out), "the lease was renewed for longer than itself")
	}
}

func TestHangUpStaysIgnoredBelowNohup(t *testing.T) {
	f := alone(t)
	nohup := filepath.Join(f.dir, "nohup")
	apitest.WriteExecutable(t, nohup, "#!/bin/sh\ntrap '' HUP\nexec '"+f.binary+"' \"$@\"\n")
	f.binary = nohup
	over := filepath.Join(f.dir, "over")
	p := f.start("a", nil, "sh", "-c", `kill -HUP $$; echo begun > "$0.begun"; until [ -e "$0" ]; do sleep 0.02; done; exit 7`, over)
	f.text(over + ".begun")
	require.NoError(t, p.cmd.Process.Signal(unix.SIGHUP))
	require.NoError(t, os.WriteFile(over, nil, 0o600))
	require.Equal(t, 7, f.ended(p), f.log())
}

func TestASignalHeardTwiceLeavesTheGrace(t *testing.T) {
	f := alone(t)
	kept := func(try int) bool {
		out := filepath.Join(f.dir, "out"+strconv.Itoa(try))
		p := f.start("a", []string{"--grace", "1m"}, "sh", "-c", `trap "sleep 1; echo ended > '$0'; exit 5" TERM; echo begun > "$0.begun"; while :; do sleep 0.02; done`, out)
		f.text(out + ".begun")
		began := time.Now()
		// The kernel delivers signals that still wait as one, so two may not be enough.
		for n := 0; n < 2 || n < 10 && time.Since(began) < 20*time.Millisecond; n++ {
			require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, CodeStopped, f.ended(p), f.log())
		_, err := os.Stat(out)
		return err == nil
	}
	for try := range 20 { // a machine that stands still may make a second signal of one
		if kept(try) {
			return
		}
	}
	require.Fail(t, "the grace was cut short", f.log())
}

func TestAStopOfTheAgentGrantsTheCommandsOwnGrace(t *testing.T) {
	t.Parallel()
	f := newFarm(t, flock.Options{Agents: 1, Lease: calm, Heartbeat: calm / 20, Extra: []string{"--grace", "50ms"}})
	out := filepath.Join(f.dir, "out")
	f.start("a", []string{"--grace", "1m"}, "sh", "-c", `trap "sleep 3; echo ended > '$0'; exit 5" TERM; echo begun > "$0.begun"; while :; do sleep 0.02; done`, out)
	f.text(out + ".begun")
	a, err := f.flock.Agent("a")
	require.NoError(t, err)
	gone := a.Gone()
	require.NoError(t, a.Signal(unix.SIGTERM))
	require.Equal(t, "ended", f.text(out), "the lease was renewed for longer than itself: %s", f.log())
	select {
	case <-gone:
	case <-time.After(patience):
		require.Fail(t, "the agent does not end")
	}
}

func TestStubbornCommandIsKilledAfterTheGrace(t *testing.T) {
	f := alone(t)
	p := f.start("a", []string{"--grace", "50ms"}, self(t), "stubborn")
	f.working(0, 0)
	require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(p), f.log())
	f.gone()
}

func TestSecondSignalCutsTheGraceShort(t *testing.T) {
	f := alone(t)
	p := f.start("a", []string{"--grace", "24h"}, self(t), "stubborn")
	f.working(0, 0)
	require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
	require.NoError(t, p.cmd.Process.Signal(unix.SIGINT))
	require.Equal(t, CodeStopped, f.ended(p), f.log())
	f.gone()
}

func TestRestartStaysInThePeriod(t *testing.T) {
	f := alone(t)
	out := filepath.Join(f.dir, "out")
	p := f.start("a", []string{"--restart"}, "sh", "-c", `echo $DDGOOSE_TOKEN >> "$0"; exit 1`, out)
	var text string
	f.until("the third start", func() bool {
		text = f.text(out)
		return strings.Count(text, "\n") >= 2
	})
	lines := strings.Fields(text)
	require.Equal(t, lines[0], lines[1])
	require.Equal(t, lines[0], lines[2])
	require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(p), f.log())
}

// TestAllIsGoneBeforeTheLeaseCanEnd kills and stops whom it can. Nothing may live
// when a whole lease has passed: the last renewal was before the fault.
func TestAllIsGoneBeforeTheLeaseCanEnd(t *testing.T) {
	for name, hit := range map[string]func(f *farm, p *runProcess){
		"agent killed":  func(f *farm, _ *runProcess) { f.agent("a", unix.SIGKILL) },
		"agent stopped": func(f *farm, _ *runProcess) { f.agent("a", unix.SIGSTOP) },
		"run killed":    func(f *farm, p *runProcess) { require.NoError(f.t, p.cmd.Process.Kill()) },
		"run stopped":   func(f *farm, p *runProcess) { require.NoError(f.t, p.cmd.Process.Signal(unix.SIGSTOP)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := slow(t)
			p := f.start("a", nil, self(t), "stubborn")
			f.working(0, 0)
			hit(f, p)
			at := boottime.Now()
			f.gone()
			a, err := f.flock.Agent("a")
			require.NoError(t, err)
			require.Less(t, f.lastAlive(at), slowLease, "%s", f.log())
			_ = a.Signal(unix.SIGCONT) // it may be dead
		})
	}
}

func TestDeadGuardIsReplacedAndItsWorkKilledFirst(t *testing.T) {
	f := alone(t)
	f.start("a", nil, self(t), "stubborn")
	before := f.working(0, 0)
	for sig, end := range map[unix.Signal]string{unix.SIGKILL: "killed", unix.SIGABRT: "exit code 2"} {
		require.NoError(t, unix.Kill(f.guard("a"), sig))
		next := f.working(0, boottime.Now())
		require.NotEqual(t, before.work, next.work)
		require.Equal(t, before.token, next.token, "the same period")
		before = next
		f.noOverlap()
		require.Contains(t, f.log(), "the guard has ended ("+end+")")
	}
}

func TestStoppedGuardIsReplacedInsideTheLease(t *testing.T) {
	f := slow(t)
	f.start("a", nil, self(t), "stubborn")
	first := f.working(0, 0)
	require.NoError(t, unix.Kill(f.guard("a"), unix.SIGSTOP))
	at := boottime.Now()
	second := f.working(0, at)
	require.NotEqual(t, first.work, second.work)
	f.noOverlap()
	for _, r := range f.records() {
		if r.work == first.work {
			require.Less(t, r.at-at, slowLease)
		}
	}
}

func TestRunWaitsForAnAgentForEver(t *testing.T) {
	f := alone(t)
	p := f.start("a", nil, self(t))
	first := f.working(0, 0)
	a, err := f.flock.Agent("a")
	require.NoError(t, err)
	f.agent("a", unix.SIGKILL)
	<-a.Gone()
	f.gone()
	require.NoError(t, f.flock.Start("a"))
	f.working(first.token+1, 0)
	f.noOverlap()
	require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(p), f.log())
}
