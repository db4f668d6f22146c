package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem"
	"duckduckgoose/netem/schedule"
)

func TestLinesPrintAsTheyParse(t *testing.T) {
	for _, line := range []string{
		"at 5s crash goose for 2s", "at 5s crash a power", "at 1m0.5s crash-at duck save 2 power for 10ms", "at 5s crash-at a any", "at 0s start b",
		"at 5s stop goose", "at 5s pause a for 1s", "at 5s suspend * for 1s", "at 5s rate a -0.5%", "at 5s partition a,b/c for 3s",
		"at 5s partition a>b,c>b", "at 5s heal", "at 5s flap 10ms for 3s", "at 5s netem a out *: loss 5% delay 10ms 2ms for 3s",
		"at 5s clear *", "at 5s disk a slow 10ms", "at 5s disk a fails", "at 5s hold a 2", "at 5s finish goose", "at 5s step-down a b", "at 5s step-down a b blue",
		"at 5s leave a for 3s", "at 5s force-leave a", "at 5s wipe a for 1s", "at 5s move a", "at 5s recover a,b", "at 5s due 1.2s",
		"at 5s excuse", "at 5s expect goose a", "at 5s expect none", "at 5s expect voters a b", "at 5s expect term same", "at 5s expect flocks 2",
		"at 5s freeze a for 3s", "at 5s thaw a", "at 5s slow a>b,b-c 60ms for 2s", "at 5s slow * 2s", "at 5s priority a 50", "at 5s hand-over 100ms for 2s", "at 5s replay a for 1s", "at 5s clone a e",
		"at 5s expect told clone", "at 5s expect leads a blue",
	} {
		o, err := schedule.Parse(line)
		require.NoError(t, err)
		require.Equal(t, line, o.String())
	}
}

func TestBadLinesSayWhatWouldBeRight(t *testing.T) {
	for line, want := range map[string]string{
		"in 5s crash a":            `want "at T VERB ..."`,
		"at noon crash a":          `time "noon": want a duration from 0s on`,
		"at 5s explode a":          `there is no "explode": want one of crash `,
		"at 5s crash":              `nobody is named: want "at T crash WHO [power] [for D]"`,
		"at 5s crash a gently":     `"gently" is not one of`,
		"at 5s crash a for ever":   `for "ever": want a duration above 0s`,
		"at 5s pause a":            "it needs an end",
		"at 5s rate a 3%":          "want a percentage from -1% to 1%",
		"at 5s partition a/b>c":    "it mixes kinds",
		"at 5s flap 10ms":          "it needs two durations",
		"at 5s netem a b: explode": "explode",
		"at 5s disk a slow":        `"slow" is not slow D, ok or fails`,
		"at 5s hold a many":        "is not a number from 0 to 9",
		"at 5s due soon":           "is not a duration above 0s",
		"at 5s expect miracles":    `"miracles" is nothing to expect`,
		"at 5s heal now":           `"now" is one too many: want "at T heal"`,
		"at 5s crash-at a soon":    `"soon" is not one of`,
		"at 5s crash-at a save -1": `"save -1" is not one of`,
		"at 5s slow a>b 3s":        `"3s": want a duration from 0s to 2s`,
		"at 5s slow ab 1s":         `link "ab": want a>b or a-b`,
		"at 5s priority a high":    "is not a number from 0 to 255",
	} {
		_, err := schedule.Parse(line)
		require.ErrorContains(t, err, want, line)
	}
}

// TestSchedulesUseEveryFault also holds that they print as they parse.
func TestSchedulesUseEveryFault(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(60) {
		d, late := netem.NewDice(seed, netem.Out, "first"), netem.NewDice(seed, netem.Out, "late")
		ops := schedule.Draw(&d, &late, schedule.Flock{Agents: 5, Lease: 500 * time.Millisecond, For: 5 * time.Minute})
		for i, o := range ops {
			again, err := schedule.Parse(o.String())
			require.NoError(t, err)
			require.Equal(t, o, again)
			seen[o.Verb] = true
			require.True(t, i == 0 || ops[i-1].At < o.At)
		}
	}
	for _, v := range schedule.Verbs() {
		require.Equal(t, v.Drawn, seen[v.Name], v.Name)
		require.NotEmpty(t, v.Does)
	}
}

func TestPlansChooseFaults(t *testing.T) {
	set := schedule.Drawn(3, schedule.Plan{Faults: []string{"crash", "move"}, Every: time.Second, Agents: 7, For: time.Hour})
	require.Equal(t, 7, set.Agents)
	require.Greater(t, len(set.Ops), 3000)
	for _, o := range set.Ops {
		require.Contains(t, []string{"crash", "move"}, o.Verb)
	}
	require.Len(t, schedule.Drawn(3, schedule.Plan{Only: []int{1, 4}}).Ops, 2)
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
		_, err := schedule.ParseScenario("x", text)
		require.ErrorContains(t, err, want, text)
	}
}
