package soak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"duckduckgoose/netem/schedule"
	"duckduckgoose/netem/shape"
)

func TestDefaultScenarioIsGood(t *testing.T) {
	s, err := ParseScenario(DefaultScenario)
	require.NoError(t, err)
	require.Len(t, s.Faults, len(acts), "it uses every kind of fault")
	require.ElementsMatch(t, shape.Roles(), s.Faults["partition"].Shapes, "and every shape")
	for verb := range acts {
		_, known := schedule.Named(verb)
		require.True(t, known, "%s is a word of the schedules", verb)
	}

	text, err := yaml.Marshal(s)
	require.NoError(t, err)
	again, err := ParseScenario(text)
	require.NoError(t, err, "what is printed can be read:\n%s", text)
	require.Equal(t, s, again)
}

func TestScenarioTakesTheDefaultForWhatItLeavesOut(t *testing.T) {
	s, err := ParseScenario([]byte("every: 5s\nfaults:\n  crash: {weight: 1, for: 2s}\n"))
	require.NoError(t, err)
	require.Equal(t, Duration(5*time.Second), s.Every)
	require.Equal(t, "lan", s.Profile)
	require.Equal(t, map[string]schedule.Fault{"crash": {Weight: 1, For: schedule.Range{Least: 2 * time.Second, Most: 2 * time.Second}}}, s.Faults)
}

func TestScenarioReportsEveryFaultAtOnce(t *testing.T) {
	_, err := ParseScenario([]byte(`
profile: moon
every: 0s
faults:
  crash: {weight: 1}
  kil: {weight: 1, for: 1s}
  partition: {weight: 1, for: 1s, shapes: [triangle]}
  netem: {weight: 1, for: 1s, rules: ["*: los 10%"]}
  flap: {weight: 1, for: 1s}
`))
	for _, want := range []string{`profile "moon"`, "every 0s", "fault crash: for: want", "fault kil: there is no such fault", `shape "triangle"`, "los", "words: want at least one"} {
		require.ErrorContains(t, err, want)
	}
	for text, want := range map[string]string{
		"evry: 1s":                             "evry",
		"every: soon":                          `"soon": want a time`,
		"faults: {crash: {weight: 1, for: x}}": `"x": want a time or two`,
		"faults: {crash: {weight: 1, for: 2s..1s}}":         "the shorter time first",
		"faults: {crash: {weight: 1, for: 1s, goose: 0.5}}": "as 60%",
		"faults: {}": "at least one",
	} {
		_, err := ParseScenario([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
}

func TestScenariosMayUseFormerWords(t *testing.T) {
	s, err := ParseScenario([]byte(`
faults:
  kill: {weight: 1, for: 1s}
  freeze: {weight: 2, for: 1s}
  death: {weight: 3, for: 1s}
  network: {weight: 4, for: 1s, rules: ["*: loss 10%"]}
`))
	require.NoError(t, err)
	weights := map[string]int{}
	for verb, f := range s.Faults {
		weights[verb] = f.Weight
	}
	require.Equal(t, map[string]int{"crash": 1, "suspend": 2, "die": 3, "netem": 4}, weights)
}
