//go:build linux

package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// three starts a flock that does not change its goose because the machine is busy.
func three(t *testing.T) *farm {
	t.Parallel()
	return newFarm(t, flock.Options{Agents: 3, Lease: calm, Heartbeat: calm / 20})
}

// status is that of an agent.
func (f *farm) status(name string) api.Status {
	f.t.Helper()
	a, err := f.flock.Agent(name)
	require.NoError(f.t, err)
	c := a.Client()
	c.Wait = patience // it may have just been started
	s, err := c.Status(f.t.Context())
	require.NoError(f.t, err)
	return s
}

// duck names an agent that knows of another goose.
func (f *farm) duck() (name string) {
	f.t.Helper()
	f.until("a duck", func() bool {
		goose := f.goose()
		for _, name = range f.flock.Names() {
			if s := f.status(name); name != goose && s.Goose != nil && s.Goose.Name == goose {
				return true
			}
		}
		return false
	})
	return name
}

var tryNow = []string{"--try", "0s", "--keep"}

func TestTryGivesUpWhereTheGooseIsNot(t *testing.T) {
	f := three(t)
	duck := f.duck()
	a, err := f.flock.Agent(duck)
	require.NoError(t, err)
	f.until("a freeze", func() bool { // else the goose goes to where somebody waits with work
		all, err := a.Client().Freeze(t.Context(), time.Hour)
		return err == nil && len(all.Reached) == 3
	})
	require.Equal(t, CodeNotGoose, f.ended(f.start(duck, tryNow, "sh", "-c", "echo ran")))
	require.Contains(t, f.log(), "ddgoose: "+f.anyGoose()+" is the goose, not this agent\n")
	require.Equal(t, 1, strings.Count(f.log(), "\n")-1, "one line: %s", f.log())

	require.Equal(t, CodeNotGoose, f.ended(f.start(duck, append(tryNow, "-q"), "sh", "-c", "echo ran")))
	require.Equal(t, 1, strings.Count(f.log(), "\n")-1, "no more lines: %s", f.log())

	require.Equal(t, CodeNotGoose, f.ended(f.start(duck, []string{"--try", "2s"}, "sh", "-c", "echo ran")))
	require.Contains(t, f.log(), "ddgoose: run: waiting: "+f.anyGoose()+" is the goose\n")
	require.NotContains(t, f.log(), "ran\n")

	f.agent(duck, unix.SIGKILL)
	<-a.Gone()
	require.Equal(t, CodeNotGoose, f.ended(f.start(duck, tryNow, "true")))
	require.Contains(t, f.log(), "ddgoose: no agent answers at "+a.Socket)
	require.NoError(t, f.flock.Start(duck))
	f.status(duck)
	f.agent(duck, unix.SIGSTOP)
	require.Equal(t, CodeNotGoose, f.ended(f.start(duck, tryNow, "true")), "an agent that hangs: %s", f.log())
	require.Contains(t, f.log(), "ddgoose: the agent does not say who is the goose\n")
	f.agent(duck, unix.SIGCONT)
}

func TestTryGivesUpBesideAnotherRun(t *testing.T) {
	f := alone(t)
	begun := filepath.Join(f.dir, "begun")
	first := f.start("a", nil, "sh", "-c", "echo begun > "+begun+"; exec sleep 1000")
	f.text(begun)
	require.Equal(t, CodeNotGoose, f.ended(f.start("a", tryNow, "true")))
	require.Contains(t, f.log(), fmt.Sprintf("ddgoose: another ddgoose run works beside this agent (process %d)\n", first.cmd.Process.Pid))
	require.Zero(t, f.ended(f.start("a", append(tryNow, "--share"), "true")), f.log())
	require.NoError(t, first.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(first))
}

// TestTryOfZeroStartsTheCommandOnce: else a job would run twice at one tick.
func TestTryOfZeroStartsTheCommandOnce(t *testing.T) {
	for how, stop := range map[string]func(f *farm, p *runProcess, command int){
		"the guard is killed": func(f *farm, p *runProcess, _ int) { require.NoError(f.t, unix.Kill(p.guard(), unix.SIGKILL)) },
		"run hangs": func(f *farm, p *runProcess, command int) {
			require.NoError(f.t, p.cmd.Process.Signal(unix.SIGSTOP))
			f.until("the end of the command", func() bool { return unix.Kill(command, 0) == unix.ESRCH })
			require.NoError(f.t, p.cmd.Process.Signal(unix.SIGCONT))
		},
	} {
		t.Run(how, func(t *testing.T) {
			f := alone(t)
			out := filepath.Join(f.dir, "out")
			p := f.start("a", tryNow, "sh", "-c", `echo $$ >> "$0"; exec sleep 1000`, out)
			command, err := strconv.Atoi(f.text(out))
			require.NoError(t, err)
			stop(f, p, command)
			require.Equal(t, CodeNotGoose, f.ended(p), f.log())
			require.Contains(t, f.log(), "ddgoose: work was stopped before its end, and is not started again\n")
			require.Equal(t, strconv.Itoa(command), f.text(out), "it began once")
		})
	}
}

func TestKeepLeavesTheGooseWhereItIs(t *testing.T) {
	f := three(t)
	goose := f.anyGoose()
	token := f.status(goose).Token
	keep := func(command ...string) *runProcess { return f.start(goose, []string{"--keep"}, command...) }
	begun := func(name string) (string, []string) {
		path := filepath.Join(f.dir, name)
		return path, []string{"sh", "-c", "echo begun > " + path + "; exec sleep 1000"}
	}
	kept := func(how string) {
		require.Zero(t, f.ended(f.start(goose, tryNow, "true")), "%s: %s", how, f.log())
		require.Equal(t, token, f.status(goose).Token, how)
	}
	require.Equal(t, 7, f.ended(keep("sh", "-c", "exit 7")))
	for range 5 { // the next one finds no trace of the last
		kept("the command has ended")
	}

	path, command := begun("stopped")
	p := keep(command...)
	f.text(path)
	require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(p))
	kept("run was told to stop")

	path, command = begun("killed")
	p = keep(command...)
	f.text(path)
	guard := p.guard()
	require.NoError(t, p.cmd.Process.Kill())
	f.until("the end of the guard", func() bool { return unix.Kill(guard, 0) == unix.ESRCH })
	kept("run was killed")
}

func TestRunSaysWhatItWaitsForOncePerChange(t *testing.T) {
	f := three(t)
	duck, goose := f.duck(), f.anyGoose()
	out := filepath.Join(f.dir, "out")
	p := f.start(duck, nil, "sh", "-c", `echo begun > "$0"; exec sleep 1000`, out)
	line := "ddgoose: run: waiting: " + goose + " is the goose\n"
	f.until("it says so", func() bool { return strings.Contains(f.log(), line) })
	a, err := f.flock.Agent(goose)
	require.NoError(t, err)
	f.until("a step-down", func() bool {
		_, err := a.Client().StepDown(t.Context(), duck)
		return err == nil || f.goose() == duck
	})
	f.text(out)
	require.Equal(t, 1, strings.Count(f.log(), line), f.log())
	require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
	require.Equal(t, CodeStopped, f.ended(p))
}

// TestAJobInEveryCrontabRunsOnceATick starts the job beside all agents at once, as
// cron does at each minute, and kills the goose between two ticks.
func TestAJobInEveryCrontabRunsOnceATick(t *testing.T) {
	f := three(t)
	out := filepath.Join(f.dir, "out")
	require.NoError(t, os.WriteFile(out, nil, 0o600))
	ticks := 3
	if os.Getenv("DDGOOSE_TEST_EXTRA") != "" {
		ticks = 20
	}
	missed := 0 // ticks in which nobody ran, though the goose was the same before and after
	for tick, counted := 1, 0; counted < ticks; tick++ {
		require.Less(t, tick, 5*ticks, "the goose changes by itself all the time")
		goose := f.anyGoose()
		token := f.status(goose).Token
		var jobs []*runProcess
		for _, name := range f.flock.Names() {
			jobs = append(jobs, f.start(name, tryNow, "sh", "-c", `echo "$0" >> "$1"`, strconv.Itoa(tick), out))
		}
		ran := 0
		for _, p := range jobs {
			switch code := f.ended(p); code {
			case 0:
				ran++
			default:
				require.Equal(t, CodeNotGoose, code, f.log())
			}
		}
		if s := f.status(goose); s.Role == api.RoleGoose && s.Token == token {
			if counted++; ran == 0 { // on a busy machine its lease may lapse, or be too short to begin, and each job tries once
				missed++
			}
			text, err := os.ReadFile(out)
			require.NoError(t, err)
			times := strings.Count(string(text), strconv.Itoa(tick)+"\n")
			require.LessOrEqual(t, ran, times, "tick %d in %q: %s", tick, text, f.log())
			require.LessOrEqual(t, times, 1, "tick %d in %q: %s", tick, text, f.log())
			require.LessOrEqual(t, missed, 1+ticks/10, "tick %d: %s", tick, f.log())
		}
		a, err := f.flock.Agent(goose)
		require.NoError(t, err)
		f.agent(goose, unix.SIGKILL)
		<-a.Gone()
		if tick%2 == 0 { // in every other tick one machine is down
			require.NoError(t, f.flock.Start(goose))
		}
		f.until("another goose", func() bool { g := f.goose(); return g != "" && f.status(g).Token > token })
		if tick%2 == 1 {
			require.NoError(t, f.flock.Start(goose))
		}
	}
}
