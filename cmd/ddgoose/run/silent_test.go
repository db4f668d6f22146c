//go:build linux

package run

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

// shown gives what an agent shows as work.
func (f *farm) shown(name string) (holders []api.WorkHolder) {
	f.t.Helper()
	a, err := f.flock.Agent(name)
	require.NoError(f.t, err)
	f.until("a holder at "+name, func() bool {
		s, err := a.Client().Status(f.t.Context())
		holders = s.Holders
		return err == nil && len(holders) > 0
	})
	return holders
}

// newest is when a child last gave a sign of life.
func (f *farm) newest() time.Duration {
	all := f.records()
	return all[len(all)-1].at
}

// freeze stops the run beside an agent and its guard, and lets what they run go on.
func (f *farm) freeze(name string) (thaw func()) {
	f.t.Helper()
	guard, p := f.guard(name), f.runs[name].cmd.Process
	require.NoError(f.t, p.Signal(unix.SIGSTOP)) // else it would kill a guard that does not answer
	require.NoError(f.t, unix.Kill(guard, unix.SIGSTOP))
	return func() {
		require.NoError(f.t, unix.Kill(guard, unix.SIGCONT))
		require.NoError(f.t, p.Signal(unix.SIGCONT))
	}
}

// TestStoppedRunAndGuardLoseTheGooseToOtherWork: the agent kills their command, by its cgroup.
func TestStoppedRunAndGuardLoseTheGooseToOtherWork(t *testing.T) {
	needCgroup(t)
	t.Parallel()
	f := newFarm(t, flock.Options{Agents: 3, Lease: calm, Heartbeat: calm / 20})
	for _, name := range f.flock.Names() {
		f.start(name, nil, self(t), "stubborn")
	}
	now := f.working(0, 0)
	holders := f.shown(now.agent)
	require.Len(t, holders, 1)
	require.Equal(t, api.WorkHolder{Kind: "run", Ends: "cgroup.kill", Since: holders[0].Since}, holders[0])
	for range 3 {
		was, thaw := now, f.freeze(now.agent)
		now = f.working(was.token+1, 0)
		require.NotEqual(t, was.agent, now.agent)
		f.noOverlap()
		thaw()
		f.until("a run beside every agent", f.attached)
		now = f.working(was.token+1, 0)
	}
	for _, p := range f.runs {
		require.NoError(t, p.cmd.Process.Signal(unix.SIGTERM))
		require.Equal(t, CodeStopped, f.ended(p), f.log())
	}
	f.noOverlap()
}

// TestStoppedRunAndGuardKeepTheGooseWhereNobodyElseWorks: what they run goes on.
func TestStoppedRunAndGuardKeepTheGooseWhereNobodyElseWorks(t *testing.T) {
	f := alone(t)
	f.start("a", nil, self(t))
	first := f.working(0, 0)
	killable := f.shown("a")[0].Ends == "cgroup.kill"
	thaw := f.freeze("a")
	a, err := f.flock.Agent("a")
	require.NoError(t, err)
	if killable {
		f.until("the agent says so", func() bool {
			s, err := a.Client().Status(t.Context())
			return err == nil && len(s.Warnings) > 0 && !s.Work
		})
	}
	at := f.newest()
	f.until("it goes on", func() bool { return f.newest() > at })
	require.Equal(t, first.agent, f.anyGoose())
	thaw()
	f.until("it works again", func() bool { s, err := a.Client().Status(t.Context()); return err == nil && s.Work })
	f.noOverlap()
}

// TestKilledRunAndGuardLeaveNothing: the kernel kills the command with its guard,
// and the agent what the command has started, some of it by a double fork.
func TestKilledRunAndGuardLeaveNothing(t *testing.T) {
	needCgroup(t)
	f := alone(t)
	p := f.start("a", nil, self(t), "stubborn")
	first := f.working(0, 0)
	guard := f.guard("a")
	require.NoError(t, p.cmd.Process.Kill())
	require.NoError(t, unix.Kill(guard, unix.SIGKILL))
	<-p.gone
	f.gone()
	f.start("a", nil, self(t))
	f.working(first.token, f.newest()+1)
	f.noOverlap()
}

// TestGuardIsLookedAtWhenItCanBeJudged: not each millisecond of a lease that ends, and no later.
func TestGuardIsLookedAtWhenItCanBeJudged(t *testing.T) {
	d := deadline{Until: 1000 * time.Millisecond, Length: 500 * time.Millisecond} // run takes over at 950 ms
	for _, c := range []struct{ now, heard, want time.Duration }{
		{500, 490, 25},
		{940, 800, 10},
		{940, 920, 25}, // at 970 ms
		{951, 950, 25},
		{951, 910, 9}, // at 960 ms
		{970, 900, 1},
	} {
		require.Equal(t, c.want*time.Millisecond, d.judged(c.now*time.Millisecond, c.heard*time.Millisecond), "%v", c)
	}
}

// TestAGuardThatWasKilledIsNotMissedAgain: the kernel may take a second to tell of its end.
func TestAGuardThatWasKilledIsNotMissedAgain(t *testing.T) {
	now := boottime.Now()
	try := time.Duration(0)
	r := &runner{opts: Options{Work: Work{Try: &try}}, left: &crowd{left: 1}}
	w := &guardState{reports: make(chan report), working: true, looked: now, deadline: deadline{Token: 7, Until: now, Length: time.Hour}}
	close(w.reports)
	require.True(t, w.hung())
	r.killAll(w)
	require.False(t, w.hung())
	require.Contains(t, w.spare, "of the lease left")
	require.GreaterOrEqual(t, r.idle, now, "--try counts from here")
	r.idle = 0
	require.Equal(t, time.Duration(math.MaxInt64), r.patience(w), "nothing is left to be given up")
}
