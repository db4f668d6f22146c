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
		"at 5s freeze a for 3s", "at 5s thaw a", "at 5s slow a>b,b-c 60ms for 2s", "at 5s slow * 2s", "at 5s priority a 50", "at 5s hand-over 100ms for 2s", "at 5s replay a for 1s", "at 5s clone a e", "at 5s forge a vote 3", "at 5s forge a beat last",
		"at 5s expect told clone", "at 5s unwell goose for 2s", "at 5s well a", "at 5s expect leads a blue",
		"at 5s partition minority for 1s", "at 5s die goose for 1s", "at 5s pause-writer goose for 1s", "at 5s kill-writer goose",
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
		"at 5s explode a":          `unknown verb "explode": want one of crash `,
		"at 5s crash":              `nobody is named: want "at T crash WHO [power] [for D]"`,
		"at 5s crash a gently":     `"gently": want one of`,
		"at 5s crash a for ever":   `for "ever": want a duration above 0s`,
		"at 5s pause a":            "want only WHO and an end: for D",
		"at 5s rate a 3%":          "want a percentage from -1% to 1%",
		"at 5s partition a/b>c":    "it mixes kinds",
		"at 5s flap 10ms":          "want EVERY for D",
		"at 5s netem a b: explode": "explode",
		"at 5s disk a slow":        `"slow": want slow D, ok or fails`,
		"at 5s hold a many":        "want a number from 0 to 9",
		"at 5s due soon":           "want a duration above 0s",
		"at 5s expect miracles":    `"miracles": want one of goose, none`,
		"at 5s heal now":           `"now" is one too many: want "at T heal"`,
		"at 5s crash-at a soon":    `"soon": want one of`,
		"at 5s crash-at a save -1": `"save -1": want one of`,
		"at 5s slow a>b 3s":        `"3s": want a duration from 0s to 2s`,
		"at 5s slow ab 1s":         `link "ab": want a>b or a-b`,
		"at 5s priority a high":    "want a number from 0 to 255",
	} {
		_, err := schedule.Parse(line)
		require.ErrorContains(t, err, want, line)
	}
}

// TestSchedulesUseEveryFault also holds that they print as they parse.
func TestSchedulesUseEveryFault(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(60) {
		ops := schedule.Drawn(seed, schedule.Plan{}).Ops
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

func TestMixesAreDrawnByWeight(t *testing.T) {
	second := schedule.Range{Least: time.Second, Most: 3 * time.Second}
	mix := map[string]schedule.Fault{
		"crash":     {Weight: 6, For: second, Goose: 60},
		"wipe":      {Weight: 1, For: second},
		"pause":     {For: second},
		"step-down": {Weight: 2},
		"partition": {Weight: 2, For: second, Shapes: []string{"star", "goose-deaf"}},
		"netem":     {Weight: 2, For: second, Rules: []string{"*: loss 10%"}},
		"flap":      {Weight: 2, For: second, Words: []string{"100ms"}},
	}
	flock := schedule.Flock{Agents: 5, For: time.Hour, Every: time.Second}
	ops := schedule.Mixed(1, flock, mix)
	require.Equal(t, ops, schedule.Mixed(1, flock, mix))
	require.NotEqual(t, ops, schedule.Mixed(2, flock, mix))
	require.InDelta(t, 3600, len(ops), 200, "one a second")
	seen, who, what := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, o := range ops {
		again, err := schedule.Parse(o.String())
		require.NoError(t, err)
		require.Equal(t, o, again)
		seen[o.Verb]++
		what[o.What] = true
		switch o.Verb {
		case "crash":
			who[o.Who]++
		case "step-down":
			require.Equal(t, "goose", o.Who)
		case "netem":
			require.Equal(t, "*", o.Who)
		}
		if o.Verb != "step-down" {
			require.GreaterOrEqual(t, o.For, second.Least)
			require.LessOrEqual(t, o.For, second.Most)
		}
	}
	require.Len(t, seen, 6, "what weighs nothing is not drawn")
	require.Greater(t, seen["crash"], 3*seen["wipe"])
	require.Len(t, who, 6)
	require.InDelta(t, 0.6, float64(who["goose"])/float64(seen["crash"]), 0.1)
	for _, word := range []string{"star", "goose-deaf", "*: loss 10%", "100ms"} {
		require.Contains(t, what, word)
	}
}

func TestBadFaultsSayWhatWouldBeRight(t *testing.T) {
	second := schedule.Range{Most: time.Second}
	for want, tt := range map[string]struct {
		verb  string
		fault schedule.Fault
	}{
		"fault crash: weight -1: want 0 or more":      {"crash", schedule.Fault{Weight: -1, For: second}},
		"fault pause: for: want how long it lasts":    {"pause", schedule.Fault{}},
		`shape "triangle": want one of chain, goose-`: {"partition", schedule.Fault{For: second, Shapes: []string{"triangle"}}},
		"shapes: want at least one of chain":          {"partition", schedule.Fault{For: second}},
		`rules: want at least one, as "*: loss 10%"`:  {"netem", schedule.Fault{For: second}},
		"los": {"netem", schedule.Fault{For: second, Rules: []string{"*: los 10%"}}},
		"words: want at least one time, as 200ms": {"flap", schedule.Fault{For: second}},
		"both above 0s":           {"flap", schedule.Fault{For: second, Words: []string{"often"}}},
		`"power" is one too many`: {"stop", schedule.Fault{For: second, Words: []string{"power"}}},
	} {
		require.ErrorContains(t, tt.fault.Check(tt.verb), want)
	}
}

func TestBadScenariosNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"agents many":           `scenario x, line 1: agents "many"`,
		"agents 0":              "want 1 to 500",
		"\n# fine\nat 5s crash": "scenario x, line 3",
		"colour blue":           `unknown word "colour": want one of agents`,
		"timing a 5ms":          "want NAME HEARTBEAT LEASE",
		"gooseless often":       "want a percentage",
		"priority a 300":        "value out of range",
		"election Blue":         "that is no name",
		"at 5s kill-writer a":   "only a soak of real processes can do it",
	} {
		_, err := schedule.ParseScenario("x", text)
		require.ErrorContains(t, err, want, text)
	}
}

// What is drawn ends before the time is over: then everything is healed, and no fault may follow.
func TestNothingIsDrawnPastTheEnd(t *testing.T) {
	for seed := range uint64(300) {
		first, late, later := netem.NewRandom(seed, netem.Out, "first"), netem.NewRandom(seed, netem.Out, "late"), netem.NewRandom(seed, netem.Out, "later")
		for _, o := range schedule.Draw(schedule.Flock{Agents: 5, Lease: 400 * time.Millisecond, For: time.Minute, Every: 100 * time.Millisecond}, &first, &late, &later) {
			require.Less(t, o.At, time.Minute, "seed %d: %v", seed, &o)
		}
	}
}
