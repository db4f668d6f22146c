package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestMembersAreFiltered(t *testing.T) {
	a, socket := fake(t)
	a.SetMembers([]api.Member{
		{Name: "web-1", State: "alive", Role: "goose", Voter: true, Tags: map[string]string{"rack": "7", "os": ""}},
		{Name: "web-10", State: "failed", Role: "duck", Tags: map[string]string{"rack": "17"}},
		{Name: "db", State: "alive", Role: "duck", Voter: true},
	})
	for _, c := range []struct {
		filter string // words are cut at spaces
		want   []string
	}{
		{"", []string{"web-1", "web-10", "db"}},
		{"--name web-1", []string{"web-1"}},
		{"--name web-.*", []string{"web-1", "web-10"}},
		{"--name web-1|db", []string{"web-1", "db"}}, // the ends hold for each alternative
		{"--name eb-1", []string{}},
		{"--state alive|suspect", []string{"web-1", "db"}},
		{"--role duck", []string{"web-10", "db"}},
		{"--tag rack=7", []string{"web-1"}},
		{"--tag rack=.?7", []string{"web-1", "web-10"}},
		{"--tag rack", []string{"web-1", "web-10"}},
		{"--tag os=", []string{"web-1"}},
		{"--tag rack --tag os", []string{"web-1"}},
		{"--tag none", []string{}},
		{"--voters", []string{"web-1", "db"}},
		{"--voters --role duck", []string{"db"}},
	} {
		args := append([]string{"members", "--socket", socket}, strings.Fields(c.filter)...)
		got := run(t, append(args, "--json")...)
		require.Zero(t, got.code, got.stderr)
		require.Equal(t, c.want, namesOf(t, got.stdout), c.filter)
		require.Equal(t, len(c.want) == 0, got.stderr == "ddgoose: warning: none of the 3 members matches the filters\n", "%s: %s", c.filter, got.stderr)
		table := lines(run(t, args...).stdout)
		require.Len(t, table, 1+len(c.want), c.filter)
	}
	for filter, want := range map[string]string{
		"--name=(":     "want a regular expression, as 'web-.*': error parsing regexp: missing closing ): `(`",
		"--tag==x":     "want KEY or KEY=REGEXP, as rack=7.*",
		"--tag=rack=*": "want a regular expression",
	} {
		got := run(t, "members", "--socket", socket, filter)
		require.Equal(t, 2, got.code, filter)
		require.Contains(t, got.stderr, want)
		require.Len(t, lines(got.stderr), 1)
	}
}

// namesOf reads the names out of one document.
func namesOf(t *testing.T, document string) []string {
	t.Helper()
	var ms api.Members
	require.NoError(t, json.Unmarshal([]byte(document), &ms), document)
	names := []string{}
	for _, m := range ms.Members {
		names = append(names, m.Name)
	}
	return names
}

func TestMembersAreWatchedUntilTheAgentGoes(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		socket := shortDir(t) + "/a.sock"
		a := apitest.New()
		stop := serveFake(t, a, socket)
		args := []string{"members", "--watch", "--name", "b|c", "--socket", socket, "--timeout", soon.String()}
		if asJSON {
			args = append(args, "--json")
		}
		var stdout, stderr lockedBuffer
		code := make(chan int, 1)
		go func() { code <- ddgoose(t.Context(), args, strings.NewReader(""), &stdout, &stderr) }()
		until := func(text string) {
			t.Helper()
			apitest.Eventually(t, func() bool { return strings.Contains(stdout.String(), text) }, "shows %s", text)
		}
		until("failed")
		ms, rtt := apitest.Members(), 3.5
		ms[0].State, ms[1].RTTMS = "suspect", &rtt
		a.SetMembers(ms)
		a.Change(func(s *api.Status) { s.Term++ }) // no change of those that are shown
		apitest.Eventually(t, func() bool { return a.Watching() == 1 }, "it watches")
		ms = append(ms, api.Member{Name: "c", ID: "c1", State: "alive"})
		a.SetMembers(ms)
		a.Change(func(s *api.Status) { s.Term++ })
		until("alive")
		stop()
		require.Equal(t, 1, <-code)
		require.Len(t, lines(stderr.String()), 1)
		if asJSON {
			all := lines(stdout.String())
			require.Len(t, all, 2)
			require.Equal(t, []string{"b"}, namesOf(t, all[0]))
			require.Equal(t, []string{"b", "c"}, namesOf(t, all[1]))
			continue
		}
		require.Regexp(t, `^\d\d:\d\d:\d\d\.\d{3}\nName .*\nb .*\n\n\d\d:\d\d:\d\d\.\d{3}\nName .*\nb .*3\.5ms.*\nc .*\n$`, stdout.String())
	}
	got := run(t, "members", "--watch", "--socket", shortDir(t)+"/none.sock", "--timeout", "100ms")
	require.Equal(t, 2, got.code)
	require.Len(t, lines(got.stderr), 1)
}

func TestMembersAreRedrawnInPlaceOnATerminal(t *testing.T) {
	var out bytes.Buffer
	none, err := os.Open(os.DevNull) // it has no size
	require.NoError(t, err)
	defer none.Close()
	v := &membersView{o: &membersOptions{}, env: &environment{stdout: &out}, terminal: none}
	require.NoError(t, v.draw(apitest.Members()))
	require.Regexp(t, `^\x1b\[H2 members at \d\d:\d\d:\d\d \(Ctrl-C ends this\)\x1b\[K\nName .*\x1b\[K\na .*\x1b\[K\nb .*\x1b\[K\n\x1b\[J$`, out.String())
}
