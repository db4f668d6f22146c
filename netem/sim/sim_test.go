//go:build !race

package sim

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem/schedule"
)

// budget returns how many seeds a test may run: n, ten times as many with -sim.long.
func budget(n int) int {
	if *long {
		return 10 * n
	}
	return n
}

func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(budget(6)) {
		p := schedule.Plan{For: time.Minute, Every: time.Second}
		a, b := Run(schedule.Drawn(seed, p), nil), Run(schedule.Drawn(seed, p), nil)
		require.Equal(t, a.Hash, b.Hash, "seed %d", seed)
		require.Equal(t, a.Stats, b.Stats, "seed %d", seed)
		require.NotEqual(t, a.Hash, Run(schedule.Drawn(seed+1000, p), nil).Hash, "seed %d", seed)
	}
}

// TestSeedsKeepEveryPromise is the short form of `make sim`.
func TestSeedsKeepEveryPromise(t *testing.T) {
	var all Stats
	Many(1, budget(40), runtime.GOMAXPROCS(0), schedule.Plan{}, func(seed uint64, r Result) bool {
		all.Add(&r.Stats)
		if r.Err != nil {
			t.Errorf("%s", r.Report(fmt.Sprintf("ddgoose sim --seed %d", seed)))
		}
		return r.Err == nil
	})
	t.Logf("\n%s", all.String())
}

// The clock is read once a turn: after a pause that reading is old (rule 11).
func TestLoopsThatPauseInTheirTurnsKeepEveryPromise(t *testing.T) {
	for seed := range uint64(budget(12)) {
		for _, most := range []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second} {
			set := schedule.Drawn(seed, schedule.Plan{For: time.Minute})
			set.Heal = most < time.Second // longer ones leave no time for an election
			r := run(set, bugs{stalls: most}, nil)
			require.NoError(t, r.Err, "seed %d, pauses of up to %v", seed, most)
		}
	}
}

// Regression seeds: each once broke a promise, by the fault of the code named.
func TestSeedsThatOnceBrokeAPromise(t *testing.T) {
	for seed, fault := range map[uint64]string{
		9:      "autopilot: a leaving sole voter dropped the successor it had just added",
		27:     "address book: a moved observer was never found again",
		77:     "election: a change was made of whose new members no majority answered",
		62:     "address book: what was late from an old address moved an agent back there",
		262:    "autopilot: a leave that could not be made kept a lost voter from being replaced",
		345:    "agent: a restarted voter knew no address until gossip had joined",
		200898: "autopilot: the goose stayed the only voter that may lead, and lost its disk",
		305237: "election: one asked again at the moment in which the successor went, and their votes split",
		507462: "simulator: two voters of two that left handed over to each other without a pause, which agents make",
		502570: "simulator: a goose was due though nobody had heard where a voter had moved to",
		1984:   "election: rivals with a part of the votes each held out for seconds",
	} {
		r := Run(schedule.Drawn(seed, schedule.Plan{}), nil)
		require.NoError(t, r.Err, "seed %d (%s)", seed, fault)
	}
}

// TestScenarios runs every scenario with several seeds of its network and clocks.
func TestScenarios(t *testing.T) {
	seeds := uint64(budget(3))
	for _, s := range schedule.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, s.About)
			require.NotEmpty(t, s.Settings.Ops)
			for seed := range seeds {
				r := RunScenario(&s, seed)
				require.NoError(t, r.Err, "%s", r.Report("ddgoose sim --scenario "+s.Name))
			}
		})
	}
}

func TestEveryWordDoesSomething(t *testing.T) {
	for _, v := range schedule.Verbs() {
		require.Contains(t, acts, v.Name)
	}
	require.Len(t, acts, len(schedule.Verbs()))
}

func TestSettingsPrintAsScenarios(t *testing.T) {
	for seed := range uint64(20) {
		set := schedule.Drawn(seed, schedule.Plan{For: 20 * time.Second, Every: time.Second})
		set.Heal = false
		s, err := schedule.ParseScenario("x", set.Text())
		require.NoError(t, err)
		a, b := Run(set, nil), Run(s.Settings, nil)
		require.Equal(t, a.Hash, b.Hash, "seed %d", seed)
	}
}

func TestAHundredAgents(t *testing.T) {
	r := Run(schedule.Settings{
		Seed: 1, Agents: budget(100), Voters: 5, Together: 5, Timing: schedule.Timing{Heartbeat: 50 * time.Millisecond, Lease: 500 * time.Millisecond},
		Latency: 200 * time.Microsecond, For: 12 * time.Second, Heal: true,
		Ops: []schedule.Op{{At: 5 * time.Second, Verb: "crash", Who: "goose", For: 3 * time.Second}},
	}, nil)
	require.NoError(t, r.Err)
	require.Equal(t, 2, r.Stats.Periods)
}

func TestPanicsAreCrashesThatTellTheirStack(t *testing.T) {
	set := schedule.Drawn(1, schedule.Plan{For: 10 * time.Second})
	r := run(set, bugs{hears: func(*life, uint64, *election.Message) { panic("planted") }}, nil)
	require.Equal(t, Crashed, r.Class())
	require.ErrorContains(t, r.Err, "panic: planted")
	require.ErrorContains(t, r.Err, "receive")
}

func TestShrinkingKeepsWhatMatters(t *testing.T) {
	forgets := bugs{late: afterSends}
	for seed := uint64(0); ; seed++ {
		p := schedule.Plan{Every: 2 * time.Second, For: time.Duration(budget(120)) * time.Second}
		set := schedule.Drawn(seed, p)
		set.Heal = false
		r := run(set, forgets, nil)
		if r.Class() != Safety {
			continue
		}
		small := shrink(r, forgets, budget(100))
		require.Equal(t, Safety, small.Class())
		require.Less(t, len(small.Settings.Ops), len(set.Ops)/4)
		only := schedule.Only(seed, p, small.Settings.Ops)
		require.Len(t, only, len(small.Settings.Ops))
		p.Only = only
		again := schedule.Drawn(seed, p)
		again.Heal = false
		require.Equal(t, small.Hash, run(again, forgets, nil).Hash, "the flags replay the shrunken run")
		require.Contains(t, small.Report("THIS"), "replay: THIS")
		return
	}
}
