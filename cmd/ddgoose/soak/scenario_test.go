package soak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestDefaultScenarioIsGood(t *testing.T) {
	s, err := ParseScenario(DefaultScenario)
	require.NoError(t, err)
	require.Len(t, s.Faults, len(kinds), "it uses every kind of fault")
	require.Len(t, s.Faults[Partition].Shapes, len(shapes), "and every shape")

	text, err := yaml.Marshal(s)
	require.NoError(t, err)
	again, err := ParseScenario(text)
	require.NoError(t, err, "what is printed can be read:\n%s", text)
	require.Equal(t, s, again)
}

func TestScenarioTakesTheDefaultForWhatItLeavesOut(t *testing.T) {
	s, err := ParseScenario([]byte("every: 5s\nfaults:\n  kill: {weight: 1, for: 2s}\n"))
	require.NoError(t, err)
	require.Equal(t, Duration(5*time.Second), s.Every)
	require.Equal(t, "lan", s.Profile)
	require.Equal(t, map[Kind]Fault{Kill: {Weight: 1, For: Range{2 * time.Second, 2 * time.Second}}}, s.Faults)
}

func TestScenarioReportsEveryFaultAtOnce(t *testing.T) {
	_, err := ParseScenario([]byte(`
profile: moon
every: 0s
faults:
  kill: {weight: 1}
  kil: {weight: 1, for: 1s}
  partition: {weight: 1, for: 1s, shapes: [triangle]}
  network: {weight: 1, for: 1s, rules: ["*: los 10%"]}
`))
	for _, want := range []string{`profile "moon"`, "every 0s", "fault kill: for: want", "fault kil: there is no such fault", `shape "triangle"`, "los"} {
		require.ErrorContains(t, err, want)
	}
	for text, want := range map[string]string{
		"evry: 1s":                                         "evry",
		"every: soon":                                      `"soon": want a time`,
		"faults: {kill: {weight: 1, for: x}}":              `"x": want a time or two`,
		"faults: {kill: {weight: 1, for: 2s..1s}}":         "the shorter time first",
		"faults: {kill: {weight: 1, for: 1s, goose: 0.5}}": "as 60%",
		"faults: {}":                                       "at least one",
	} {
		_, err := ParseScenario([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
}

func TestPlanIsItsSeeds(t *testing.T) {
	s, err := ParseScenario(DefaultScenario)
	require.NoError(t, err)
	draw := func(seed uint64) (all []planned) {
		p := newPlan(s, seed)
		for range 2000 {
			all = append(all, p.next())
		}
		return all
	}
	one := draw(1)
	require.Equal(t, one, draw(1))
	require.NotEqual(t, one, draw(2))
	seen := map[Kind]int{}
	for _, f := range one {
		seen[f.kind]++
		r := s.Faults[f.kind].For
		require.GreaterOrEqual(t, f.lasts, r.Least)
		require.LessOrEqual(t, f.lasts, r.Most)
	}
	require.Len(t, seen, len(kinds))
	require.Greater(t, seen[Kill], 3*seen[Wipe])
}
