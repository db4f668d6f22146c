package bench

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// listed is one agent's list: those in leads it leads, all by the tokens of terms.
func listed(terms map[string]uint64, leads ...string) (list []api.ElectionInfo) {
	for name, token := range terms {
		e := api.ElectionInfo{Name: name, Token: token, Goose: &api.Goose{Term: token}}
		for _, l := range leads {
			e.LeaseValid = e.LeaseValid || l == name
		}
		list = append(list, e)
	}
	return list
}

func TestElectionsHaveSettledWhenEachHasAGooseAndTheyAreSpread(t *testing.T) {
	terms := map[string]uint64{"": 1, "e1": 2, "e2": 3}
	agents := []string{"a", "b"}
	v, missing := viewOf(agents, [][]api.ElectionInfo{listed(terms, "", "e2"), listed(terms, "e1")}, 3)
	require.Empty(t, missing)
	require.Equal(t, map[string]string{"": "a", "e1": "b", "e2": "a"}, v.leaders)
	require.Equal(t, terms, v.tokens)
	require.Equal(t, []int{1, 2}, v.geese)
	require.Empty(t, v.idle)
	v, missing = viewOf([]string{"a", "b", "c"}, [][]api.ElectionInfo{listed(terms, "", "e2"), listed(terms, "e1"), listed(terms)}, 3)
	require.Empty(t, missing, "the flock spreads those with names")
	require.Equal(t, "c", v.idle, "it should lead the default one")

	for want, lists := range map[string][][]api.ElectionInfo{
		"the geese are not spread: [2 0] an agent": {listed(terms, "", "e1", "e2"), listed(terms)},
		"2 of 3 elections have a goose":            {listed(terms, ""), listed(terms, "e1")},
		"b has 2 of 3 elections":                   {listed(terms, "", "e2"), listed(map[string]uint64{"": 1, "e1": 2}, "e1")},
		`agents do not agree on the goose of election "e1"`: {
			listed(terms, "", "e2"), listed(map[string]uint64{"": 1, "e1": 9, "e2": 3}, "e1"),
		},
		`b knows no goose of election ""`: {listed(terms, "", "e2"), {{Name: ""}, {Name: "e1"}, {Name: "e2"}}},
	} {
		v, missing := viewOf(agents, lists, 3)
		require.Equal(t, want, missing)
		require.Nil(t, v)
	}
}

func TestRatiosAreHeldAgainstTheirTargets(t *testing.T) {
	r := &ElectionsReport{
		Setting: Setting{Agents: 5, HeartbeatMS: 50, LeaseMS: 500}, Lists: 4711,
		Flocks: []ElectionsCost{
			{Elections: 1, Datagrams: 200, Bytes: 10_000, Geese: []int{0, 0, 0, 0, 1}},
			{Elections: 5, Datagrams: 400, Bytes: 20_000, CPU: 0.2, Geese: []int{1, 1, 1, 1, 1}},
			{Elections: 100, Datagrams: 600, Bytes: 110_000, CPU: 0.4, Geese: []int{20, 20, 20, 20, 20}, Changes: 1},
		},
	}
	r.compare()
	three, eleven, half := 3.0, 11.0, 1.5
	require.Equal(t, []Ratio{
		{"datagrams", 100, 1, &three, 3, true},
		{"CPU", 100, 1, nil, 2, false}, // too little to be seen
		{"bytes", 100, 1, &eleven, 10, false},
		{"datagrams", 100, 5, &half, 1.5, true},
	}, r.Ratios)
	_, err := json.Marshal(r)
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, Text(&b, r))
	for _, part := range []string{"5 agents, heartbeat 50ms", "20 to 20", "110000", "3.00", "missed", "met", "4711 lists of elections", "Never two geese."} {
		require.Contains(t, b.String(), part)
	}
}
