//go:build !race

package sim

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem/schedule"
)

// autoFor is how long the tests of --lease auto run, in virtual time.
var autoFor = flag.Duration("sim.auto", 45*time.Minute, "virtual time of each network for --lease auto")

// autoSim is a flock in which all agents choose their leases.
func autoSim(t *testing.T, agents int, latency time.Duration, seed uint64, ops ...string) *Sim {
	set := schedule.Settings{
		Seed: seed, Agents: agents, Voters: agents, Together: agents, Latency: latency, Holders: 1,
		Timing: schedule.Timing{Heartbeat: 50 * time.Millisecond, Lease: 500 * time.Millisecond}, Auto: map[string]bool{"*": true},
	}
	for _, line := range ops {
		o, err := schedule.Parse(line)
		require.NoError(t, err, line)
		set.Ops = append(set.Ops, o)
	}
	s := newSim(set, bugs{unraised: true})
	s.setUp()
	return s
}

// runs runs on, and returns how many elections were won and how often no goose was known
// meanwhile.
func (s *Sim) runs(t *testing.T, d time.Duration) (elections, gaps int) {
	elections = s.stats.Elections
	before, _ := s.checker.Gaps()
	gaps = len(before)
	s.run(s.now + d)
	require.NoError(t, s.err, "seed %d", s.set.Seed)
	after, _ := s.checker.Gaps()
	return s.stats.Elections - elections, len(after) - gaps
}

// pauses lets agents pause now and then, as a busy machine does.
func (s *Sim) pauses(every, most time.Duration) {
	random := s.random("pauses")
	var next func()
	next = func() {
		s.stopFor(s.agents[random.Uint64()%uint64(len(s.agents))], random.Between(time.Millisecond, most), false)
		s.after(random.Between(every/2, 2*every), next)
	}
	s.after(every, next)
}

// pace returns what the goose has chosen.
func (s *Sim) pace(t *testing.T) election.Pace {
	g := s.goose()
	require.NotNil(t, g)
	return g.life.node().Pace()
}

// A quiet network gets a short lease, and nobody loses it.
func TestAutoLeaseOnAQuietNetwork(t *testing.T) {
	for _, agents := range []int{3, 5} {
		t.Run(fmt.Sprint(agents), func(t *testing.T) {
			t.Parallel()
			s := autoSim(t, agents, 150*time.Microsecond, 1)
			s.pauses(10*time.Second, 8*time.Millisecond)
			elections, _ := s.runs(t, time.Minute)
			require.Equal(t, 1, elections)
			elections, gaps := s.runs(t, *autoFor)
			pace := s.pace(t)
			t.Logf("%v: %d elections, %d gaps, lease %v, heartbeat %v, %d events", *autoFor, elections, gaps, pace.Lease, pace.Heartbeat, s.stats.Events)
			require.Zero(t, elections)
			require.Zero(t, gaps)
			require.LessOrEqual(t, pace.Lease, 150*time.Millisecond)
		})
	}
}

// Lost datagrams cost no lease.
func TestAutoLeaseBearsLoss(t *testing.T) {
	for _, agents := range []int{3, 5} {
		for _, loss := range []int{20, 30, 50} {
			t.Run(fmt.Sprintf("%d agents, %d %%", agents, loss), func(t *testing.T) {
				t.Parallel()
				s := autoSim(t, agents, 150*time.Microsecond, 1, fmt.Sprintf("at 1ms netem * out *: loss %d%%", loss))
				early, earlyGaps := s.runs(t, time.Minute)
				elections, gaps := s.runs(t, *autoFor)
				pace := s.pace(t)
				t.Logf("first minute: %d elections, %d gaps; %v: %d elections, %d gaps, lease %v, heartbeat %v, %d events",
					early, earlyGaps, *autoFor, elections, gaps, pace.Lease, pace.Heartbeat, s.stats.Events)
				require.LessOrEqual(t, gaps, int(*autoFor/(100*time.Hour)))
				require.LessOrEqual(t, elections, gaps)
			})
		}
	}
}

// A network that turns from quiet to lossy within a second costs at most one election.
func TestAutoLeaseWhenANetworkTurnsBad(t *testing.T) {
	for seed := range uint64(budget(1)) {
		s := autoSim(t, 5, 150*time.Microsecond, seed, "at 1h netem * out *: loss 50%")
		s.runs(t, time.Hour-time.Second)
		before := s.pace(t)
		require.LessOrEqual(t, before.Lease, 150*time.Millisecond)
		elections, gaps := s.runs(t, 10*time.Minute)
		t.Logf("seed %d: %d elections, %d gaps, lease %v after %v", seed, elections, gaps, s.pace(t).Lease, before.Lease)
		require.LessOrEqual(t, elections, 1, "seed %d", seed)
	}
}

// A planned hand-over keeps the lease that was chosen. After a failure the next goose begins
// anew: what it has not measured may be why the last one failed.
func TestAutoLeaseOfTheNextGoose(t *testing.T) {
	s := autoSim(t, 3, 150*time.Microsecond, 1, "at 1h step-down goose", "at 61m crash goose for 1s")
	s.runs(t, time.Hour-time.Second)
	before := s.pace(t)
	require.Less(t, before.Lease, 500*time.Millisecond)
	elections, _ := s.runs(t, 10*time.Second)
	require.Equal(t, 1, elections)
	require.Equal(t, before.Lease, s.pace(t).Lease)
	elections, _ = s.runs(t, time.Minute)
	require.Equal(t, 1, elections)
	require.Equal(t, 500*time.Millisecond, s.pace(t).Lease)
}

// Seeds in which every agent chooses its lease, and others in which some do.
func TestSeedsOfAutoLeasesKeepEveryPromise(t *testing.T) {
	var all Stats
	Many(1, budget(6), 2, schedule.Plan{Auto: true}, func(seed uint64, r Result) bool {
		all.Add(&r.Stats)
		if r.Err != nil {
			t.Errorf("%s", r.Report(fmt.Sprintf("ddgoose sim --lease auto --seed %d", seed)))
		}
		return r.Err == nil
	})
	t.Logf("\n%s", all.String())
}
