package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestWhyPrintsReasonsRemediesAndVoters(t *testing.T) {
	a, socket := fake(t)
	require.Equal(t, outcome{stdout: `there is no goose: 1 of 3 voters can be reached, and 2 are needed
  - b cannot be reached
    > start b again
  - this agent has promised b to elect nobody else for 320ms more

Voters (2 of 3 are a majority, 1 reachable):
  Voter  Priority  State   Counts  Heard     Promised  Answer
  a      100       alive   yes     this one  b, 320ms  -
  b      100       failed  no      12s ago   ?         -
  c      0         failed  no      never     ?         -
`}, run(t, "why", "--socket", socket))
	require.Equal(t, []string{"why"}, a.Heard())

	text, err := json.Marshal(apitest.Why())
	require.NoError(t, err)
	require.Equal(t, outcome{stdout: string(text) + "\n"}, run(t, "why", "--json", "--socket", socket))

	a.Fail(api.Conflict("stopped"))
	require.Equal(t, outcome{code: 1, stderr: "ddgoose: stopped\n"}, run(t, "why", "--socket", socket))
}

func TestWhyCannotCommandTheTerminal(t *testing.T) {
	w := api.Why{Summary: "a\x1b[2J", Voters: []api.WhyVoter{{Name: "x\n", State: "alive"}}}
	var out strings.Builder
	require.NoError(t, printWhy(&out, w))
	require.NotContains(t, out.String(), "\x1b")
	require.Contains(t, out.String(), `"x\n"`)
}
