package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestStatusAnswersFirstAndWarnsLast(t *testing.T) {
	names := func(names ...string) (vs []api.Voter) {
		for _, n := range names {
			vs = append(vs, api.Voter{Name: n, ID: "id-of-" + n, Priority: 100})
		}
		return vs
	}
	duck := func(s *api.Status) {
		s.Name, s.Role, s.Lease = "b", api.RoleDuck, api.Lease{}
		s.Goose.HeardMS = 12.34
	}
	for name, c := range map[string]struct {
		change func(*api.Status)
		want   string
	}{
		"goose": {func(s *api.Status) { s.Config.Voters = names("a", "b", "c") }, `a is the goose of flock "default"
  lease     455ms left of 500ms
  term      7
  token     7
  voters    a, b, c (2 of 3 are a majority)
  agents    5 alive (observers: by gossip)
  this one  a at 127.0.0.1:3825, a voter of priority 100, up 12.5s
warning: ...
`},
		"goose that chose its lease": {func(s *api.Status) {
			s.Warnings, s.AutoLease = nil, &api.AutoLease{Why: "a majority answers within 1ms"}
		}, `a is the goose of flock "default"
  lease     455ms left of 500ms (auto: a majority answers within 1ms)
  term      7
  token     7
  voters    a (1 of 1 are a majority)
  agents    5 alive (observers: by gossip)
  this one  a at 127.0.0.1:3825, a voter of priority 100, up 12.5s
`},
		"duck": {func(s *api.Status) {
			duck(s)
			s.Config.Voters = append(names("a"), api.Voter{ID: "9f", Priority: 0})
			s.Priority, s.Warnings = 0, nil
			s.Generation, s.Token = 1, 1<<40+7
		}, `a is the goose of flock "default"; b is a duck
  goose     a at 127.0.0.1:3825, heard 12ms ago
  term      7
  token     1099511627783 (generation 1)
  voters    9f (witness), a (2 of 2 are a majority)
  agents    5 alive (observers: by gossip)
  this one  b at 127.0.0.1:3825, a witness, up 12.5s
`},
		"no goose": {func(s *api.Status) {
			duck(s)
			s.Role, s.Goose, s.Token, s.Voter = api.RoleCandidate, nil, 0, false
			s.Config.Voters = names("a", "b")
			s.Warnings = []string{"no goose: start a again", "agent x\x1b[2J is of another flock"}
		}, `NO GOOSE known in flock "default"; b is a candidate
  goose     none heard for a lease (500ms)
  term      7
  token     none
  voters    a, b (2 of 2 are a majority)
  agents    5 alive (observers: by gossip)
  this one  b at 127.0.0.1:3825, an observer, up 12.5s
warning: no goose: start a again
warning: "agent x\x1b[2J is of another flock"
`},
		"before founding": {func(s *api.Status) {
			*s = api.Status{Name: "a", Addr: "127.0.0.1:3825", Flock: "default", Role: api.RoleDuck, LeaseMS: 500, Alive: 1}
		}, `NO GOOSE: a waits for its flock, "default"
  goose     none heard for a lease (500ms)
  term      0
  token     none
  voters    none yet
  agents    1 alive
  this one  a at 127.0.0.1:3825, in no flock yet, up 0s
`},
		"goose with work": {func(s *api.Status) {
			s.Work, s.Warnings = true, nil
			s.Holders = []api.WorkHolder{{Kind: "container web", Ends: "the engine and its cgroup"}, {Kind: "mine"}, {Kind: "x\x1b[2J", Ends: "y"}}
		}, `a is the goose of flock "default"
  lease     455ms left of 500ms
  term      7
  token     7
  voters    a (1 of 1 are a majority)
  agents    5 alive (observers: by gossip)
  this one  a at 127.0.0.1:3825, a voter of priority 100, up 12.5s
  work      container web, ended by the engine and its cgroup
  work      mine (it does not say what ends it)
  work      "x\x1b[2J, ended by y"
`},
		"dead": {func(s *api.Status) { s.Role, s.Goose, s.Token, s.Warnings = api.RoleDead, nil, 0, nil }, `a of flock "default" is dead by simulation (ddgoose simulate revive)
  term      7
  token     none
  voters    a (1 of 1 are a majority)
  agents    5 alive (observers: by gossip)
  this one  a at 127.0.0.1:3825, a voter of priority 100, up 12.5s
`},
	} {
		a, socket := fake(t)
		a.Change(c.change)
		require.Equal(t, outcome{stdout: c.want}, run(t, "status", "--socket", socket), name)
		got := run(t, "status", "--json", "--socket", socket)
		require.Len(t, lines(got.stdout), 1, name)
		want, err := json.Marshal(a.Status())
		require.NoError(t, err)
		require.JSONEq(t, string(want), got.stdout, name)
	}
}

func TestMembersAreATableForPeople(t *testing.T) {
	a, socket := fake(t)
	require.Equal(t, outcome{stdout: `Name  Address         State   Role   Voter  Priority  Work  RTT    Version  Tags
a     127.0.0.1:3825  alive   goose  yes    100       no    250µs  v1.2     zone=x
b     127.0.0.1:3826  failed  duck   no     0         no    -      -        -
`}, run(t, "members", "--socket", socket))
	require.Equal(t, outcome{stdout: `Name  Address         State   Role   Voter  Priority  Work  RTT    Version  Zone  ID                                Tags
a     127.0.0.1:3825  alive   goose  yes    100       no    250µs  v1.2     x     9f000000000000000000000000000000  zone=x
b     127.0.0.1:3826  failed  duck   no     0         no    -      -        -     a0000000000000000000000000000000  -
`}, run(t, "members", "-o", "wide", "--socket", socket))
	require.Equal(t, run(t, "members", "--json", "--socket", socket), run(t, "members", "-o", "json", "--socket", socket))
	got := run(t, "members", "--json", "--socket", socket)
	var ms api.Members
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &ms))
	require.Equal(t, apitest.Members(), ms.Members)
	a.SetMembers(nil)
	require.Equal(t, outcome{stdout: `{"members":[]}` + "\n"}, run(t, "members", "--json", "--socket", socket))
	a.SetMembers([]api.Member{{Name: "x\x1b[2J", Tags: map[string]string{"k": "a\nb"}}})
	got = run(t, "members", "--socket", socket)
	require.NotContains(t, got.stdout, "\x1b", "what came by the network commands no terminal")
	require.Len(t, lines(got.stdout), 2)
}

func TestMillisAreReadable(t *testing.T) {
	for ms, want := range map[float64]string{
		0: "0s", 0.0251: "25µs", 1.2345: "1.23ms", 0.25: "250µs", 9.999: "10ms", 455.2: "455ms", 1234.5: "1.23s", 45_130: "45.1s", 61500: "1m2s", 86400_000: "24h0m0s",
	} {
		require.Equal(t, want, millis(ms))
	}
}
