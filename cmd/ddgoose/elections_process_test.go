package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/client"
)

// electionsOf waits until every agent lists so many elections, each with one goose for all.
func electionsOf(t *testing.T, n int, flock ...*process) (all []api.ElectionInfo) {
	t.Helper()
	apitest.Eventually(t, func() bool {
		tokens := map[string]uint64{}
		for _, p := range flock {
			var err error
			all, err = client.New(p.socket).Elections(t.Context())
			if err != nil || len(all) != n {
				return false
			}
			for _, e := range all {
				if token, seen := tokens[e.Name]; e.Goose == nil || seen && token != e.Token {
					return false
				}
				tokens[e.Name] = e.Token
			}
		}
		return true
	}, "%d elections with a goose for all", n)
	return all
}

func TestProcessesOfSeveralElections(t *testing.T) {
	dir := shortDir(t)
	a := startAgent(t, dir, "a", "--expect", "3", "--election", "backup,reports")
	b := startAgent(t, dir, "b", "--expect", "3", "--election", "backup", "--join", a.addr())
	c := startAgent(t, dir, "c", "--expect", "3", "--join", a.addr()) // votes in them
	flock := []*process{a, b, c}
	t.Cleanup(func() {
		for _, p := range flock {
			if t.Failed() {
				t.Logf("%s:\n%s", p.name, p.log)
			}
		}
	})
	for _, p := range flock {
		got := call(t, "wait", "--for", "goose", "--election", "reports", "--socket", p.socket, "--timeout", soon.String())
		require.Equal(t, outcome{stdout: "a\n"}, got, p.name)
	}
	all := electionsOf(t, 3, flock...)
	require.Equal(t, []string{"", "backup", "reports"}, []string{all[0].Name, all[1].Name, all[2].Name})
	require.Equal(t, "a", all[2].Goose.Name, "no other contests it")
	require.Equal(t, []bool{true, false, false}, []bool{all[0].Contested, all[1].Contested, all[2].Contested}, "as c sees them")

	// The command runs where its election's goose is, and nowhere else.
	got := call(t, "run", "--socket", a.socket, "--election", "reports", "--", "sh", "-c", `echo "$DDGOOSE_NAME $DDGOOSE_ELECTION"; exit 7`)
	require.Equal(t, outcome{code: 7, stdout: "a reports\n"}, got)
	got = call(t, "run", "--socket", a.socket, "--election", "no-such", "--", "true")
	require.Equal(t, outcome{code: 1, stderr: "ddgoose: no election \"no-such\" in this flock (ddgoose elections lists them)\n"}, got)

	// A step-down of one leaves the others where they are. It goes to a contestant,
	// once the goose knows who is none.
	require.Equal(t, 1, call(t, "is-goose", "--election", "backup", "--socket", c.socket, "--timeout", soon.String()).code)
	// A busy machine may cost the goose its lease meanwhile.
	var goose *process
	apitest.Eventually(t, func() bool {
		goose = nil
		for _, p := range flock[:2] {
			s, err := client.New(p.socket).Election("backup").Status(t.Context())
			below := slices.ContainsFunc(s.Config.Voters, func(v api.Voter) bool { return v.Name == "c" && v.Priority < 100 })
			if err == nil && isGoose(s) && below && len(s.Config.Voters) == 3 {
				goose = p
			}
		}
		if goose == nil {
			return false
		}
		got = call(t, "step-down", "--election", "backup", "--socket", goose.socket, "--timeout", soon.String())
		return got.code == 0
	}, "the goose of backup steps down, once c ranks below those that contest it: %+v", &got)
	require.Contains(t, []string{"a", "b"}, strings.TrimSpace(got.stdout))
	require.NotEqual(t, goose.name, strings.TrimSpace(got.stdout))
}
