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
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			if raceEnabled && s.Settings.For > 3*time.Minute {
				t.Skip("long, and run without the race detector")
			}
			require.NotEmpty(t, s.About)
			require.NotEmpty(t, s.Settings.Ops)
			for seed := range seeds {
				r := s.Run(seed)
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

func TestPlansChooseFaults(t *testing.T) {
	set := Drawn(3, Plan{Faults: []string{"crash", "move"}, Every: time.Second, Agents: 7, For: time.Hour})
	require.Equal(t, 7, set.Agents)
	require.Greater(t, len(set.Ops), 3000)
	for _, o := range set.Ops {
		require.Contains(t, []string{"crash", "move"}, o.Verb)
	}
	require.Len(t, Drawn(3, Plan{Only: []int{1, 4}}).Ops, 2)
}

func TestBadScenariosNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"agents many":           `scenario x, line 1: agents "many"`,
		"agents 0":              "want 1 to 500",
		"\n# fine\nat 5s crash": "scenario x, line 3",
		"colour blue":           `there is no "colour": want one of agents`,
		"timing a 5ms":          "want NAME HEARTBEAT LEASE",
		"gooseless often":       "want a percentage",
		"priority a 300":        "value out of range",
		"election Blue":         "that is no name",
	} {
		_, err := ParseScenario("x", text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestSettingsPrintAsScenarios(t *testing.T) {
	for seed := range uint64(20) {
		set := Drawn(seed, Plan{For: 20 * time.Second, Every: time.Second})
		set.Heal = false
		s, err := ParseScenario("x", set.text())
		require.NoError(t, err)
		a, b := Run(set, nil), Run(s.Settings, nil)
		require.Equal(t, a.Hash, b.Hash, "seed %d", seed)
		if seed == 2 && raceEnabled {
			return
		}
	}
}
