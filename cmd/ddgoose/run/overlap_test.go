//go:build linux

package run

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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

// TestNoTwoCommandsAreAliveAtOnce forces changes of goose in every way we know.
// One command of three ignores SIGTERM; each has children in its group, in a
// session of their own, and orphaned by a double fork.
func TestNoTwoCommandsAreAliveAtOnce(t *testing.T) {
	changes := 12
	if os.Getenv("DDGOOSE_TEST_EXTRA") != "" {
		changes = 200
	}
	f := newFarm(t, flock.Options{Agents: 3})
	for i, name := range f.flock.Names() {
		var flags, command = []string{"--grace", "300ms"}, []string{self(t)}
		if i == 1 {
			command = append(command, "stubborn")
		}
		f.start(name, flags, command...)
	}
	now := f.working(0, 0)
	for i := range changes {
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
}

// TestFullStderrDelaysNoKill: a run has something to say when its guard is stopped, and must kill first.
func TestFullStderrDelaysNoKill(t *testing.T) {
	f := newFarm(t, flock.Options{Agents: 3})
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
