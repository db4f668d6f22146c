package sim

import (
	"testing"
	"time"

	"duckduckgoose/netem/schedule"

	"github.com/stretchr/testify/require"
)

// TestScenarios runs every scenario with several seeds of its dice and clocks.
func TestScenarios(t *testing.T) {
	seeds := uint64(budget(3, 1))
	for _, s := range schedule.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			if raceEnabled && s.Settings.For > time.Minute {
				t.Skip("long, and run without the race detector")
			}
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
		if seed == 2 && raceEnabled {
			return
		}
	}
}
