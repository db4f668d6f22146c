package soak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/netem/shape"
)

// newTestConditions is five voters that have run for long.
func newTestConditions(t *testing.T) *conditions {
	t.Helper()
	names := []string{"a", "b", "c", "d", "e", "f"}
	w := newConditions(newSequence(0), names, 50*time.Millisecond, 500*time.Millisecond, 0)
	var c api.Config
	for _, name := range names[:5] {
		c.Voters = append(c.Voters, api.Voter{ID: "id-" + name, Priority: 100})
	}
	c.Version = 1
	for _, name := range names {
		w.here(name, "id-"+name, c, 0)
		w.places[name].since = 1 // long ago: no rule 13
	}
	w.owed = 0 // it was owed while only some of them ran
	clear(w.links)
	w.tick()
	return w
}

func TestGooseIsDueWhileSomeVoterReachesAMajority(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*conditions)
		due  bool
	}{
		{"all is well", func(*conditions) {}, true},
		{"two dead", func(w *conditions) { w.gone("a"); w.harm("b", true) }, true},
		{"three dead", func(w *conditions) { w.gone("a"); w.harm("b", true); w.gone("c") }, false},
		{"an observer is no voter", func(w *conditions) { w.gone("a"); w.gone("b"); w.partitioned(parse(t, "c,d,f/e")) }, false},
		{"a majority together", func(w *conditions) { w.partitioned(parse(t, "a,b/c,d,e")) }, true},
		{"three parts", func(w *conditions) { w.partitioned(parse(t, "a,b/c,d/e,f")) }, false},
		{"one alone reaches all", func(w *conditions) { w.partitioned(parse(t, "a-b,a-c,a-d,a-e")) }, true},
		{"one way only", func(w *conditions) { w.partitioned(parse(t, "a>b,a>c,a>d,b>c,b>d,c>d,e>a,e>b,e>c")) }, false},
		{"one of two partitions", func(w *conditions) { w.partitioned(parse(t, "a,b,c/d,e"), parse(t, "a,d,e/b,c")) }, false},
		{"a witness cannot lead", func(w *conditions) {
			w.configs[0].voters = []api.Voter{{ID: "id-a", Priority: 0}, {ID: "id-b", Priority: 0}, {ID: "id-c", Priority: 0}}
		}, false},
		{"the voter that ran under this name lost its disk", func(w *conditions) {
			w.gone("d")
			w.gone("e")
			w.here("a", "id-new", api.Config{}, 0)
			w.places["a"].since = 1
		}, false},
	} {
		w := newTestConditions(t)
		tt.do(w)
		w.tick()
		require.Equal(t, tt.due, w.owed != 0, tt.name)
	}
}

func parse(t *testing.T, text string) shape.Shape {
	t.Helper()
	s, err := shape.Parse(text)
	require.NoError(t, err)
	return s
}

func TestRestartedVoterMayWait(t *testing.T) {
	w := newTestConditions(t)
	w.partitioned(parse(t, "a,b,c/d,e"))
	w.gone("a")
	require.Zero(t, w.owed)
	w.here("a", "id-a", api.Config{}, 0)
	require.Zero(t, w.owed, "rule 13 lets it wait")
	w.places["a"].since = 1
	w.tick()
	require.NotZero(t, w.owed)
}

func TestALongerLeaseMovesTheBound(t *testing.T) {
	w := newTestConditions(t)
	before, since := w.bound(), w.owed
	w.leased(300*time.Millisecond, 20*time.Millisecond)
	require.Equal(t, since, w.owed, "a promise of the longer one may still run")
	require.Equal(t, before, w.bound())
	w.leased(2*time.Second, 200*time.Millisecond)
	require.Equal(t, before+3*time.Second+150*time.Millisecond, w.bound())
	require.Greater(t, w.owed, since, "the time before counted under the other bound")
}

func TestOwedSurvivesWhatDoesNotMatter(t *testing.T) {
	w := newTestConditions(t)
	since := w.owed
	require.NotZero(t, since)
	w.partitioned(parse(t, "a>b,b>a"))
	w.gone("c")
	w.partitioned(shape.Shape{})
	require.Equal(t, since, w.owed, "no other link, up or down, can prevent a goose")
}

func TestConfigThatMayNotBeCommittedDoesNotCountAlone(t *testing.T) {
	w := newTestConditions(t)
	w.gone("d")
	w.gone("e")
	// c's removal: a majority of four is three, and of the five before it three, too.
	next := api.Config{Version: 2}
	for _, name := range []string{"a", "b", "d", "e"} {
		next.Voters = append(next.Voters, api.Voter{ID: "id-" + name, Priority: 100})
	}
	w.here("a", "id-a", next, 0)
	require.Zero(t, w.owed)
	require.Equal(t, []string{"a", "b", "d", "e"}, w.voters())
	w.here("a", "id-a", api.Config{Version: 1, Voters: next.Voters[:1]}, 0)
	require.Len(t, w.configs[0].voters, 4, "an older config changes nothing")
}
