package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/config"
)

// backed serves a goose of the default election that is a duck of backup.
func backed(t *testing.T) (a, backup *apitest.Agent, socket string) {
	t.Helper()
	a, socket = fake(t)
	backup = a.Found("backup")
	backup.Change(func(s *api.Status) {
		s.Role, s.Lease, s.Term, s.Token, s.Warnings = api.RoleDuck, api.Lease{}, 9, 9, nil
		s.Goose = &api.Goose{Name: "b", ID: "a0", Addr: "127.0.0.1:3826", Term: 9, HeardMS: 12}
	})
	return a, backup, socket
}

func TestElectionsAreATableForPeople(t *testing.T) {
	a, _, socket := backed(t)
	a.Found("archive").Change(func(s *api.Status) { s.Role, s.Goose, s.Token, s.Lease = api.RoleCandidate, nil, 0, api.Lease{} })
	require.Equal(t, outcome{stdout: `Election   Goose  Term  Token  This agent  Contests
(default)  a      7     7      goose       yes
archive    none   7     0      candidate   yes
backup     b      9     9      duck        yes
`}, run(t, "elections", "--socket", socket))
	got := run(t, "elections", "--json", "--socket", socket)
	require.Zero(t, got.code)
	require.Contains(t, got.stdout, `{"elections":[{"name":"","role":"goose","term":7,"token":7,`)
	require.Len(t, lines(got.stdout), 1)
}

func TestCommandsAskTheElectionThatIsNamed(t *testing.T) {
	a, backup, socket := backed(t)
	ask := func(args ...string) outcome {
		return run(t, append(args, "--election", "backup", "--socket", socket, "--timeout", soon.String())...)
	}
	require.Equal(t, outcome{stdout: `b is the goose of election "backup" in flock "default"; a is a duck
  goose     b at 127.0.0.1:3826, heard 12ms ago
  term      9
  token     9
  voters    a (1 of 1 are a majority)
  agents    5 alive (observers: by gossip)
  this one  a at 127.0.0.1:3825, a voter of priority 100, up 12.5s
`}, ask("status"))
	require.Contains(t, ask("status", "--json").stdout, `"election":"backup"`)
	require.Equal(t, outcome{code: 1}, ask("is-goose"), "the default election's goose is not meant")
	require.Equal(t, outcome{stdout: "b\n"}, ask("wait", "--for", "goose"))
	require.Equal(t, outcome{stdout: "c\n"}, ask("step-down", "--to", "c"))
	require.Contains(t, ask("why", "--json").stdout, `"election":"backup"`)
	require.Equal(t, []string{`step down to "c"`, "why"}, backup.Heard())
	require.Empty(t, a.Heard())

	backup.Change(func(s *api.Status) {
		s.Role, s.Lease = api.RoleGoose, api.Lease{Valid: true, RemainingMS: float64(soon.Milliseconds())}
	})
	require.Equal(t, outcome{stdout: "9\n"}, ask("is-goose"))
}

func TestElectionThatIsNotThereIsNamed(t *testing.T) {
	_, _, socket := backed(t)
	const text = "ddgoose: no election \"bakcup\" in this flock (ddgoose elections lists them)\n"
	for code, args := range map[int][]string{1: {"status"}, 2: {"is-goose"}} {
		require.Equal(t, outcome{code: code, stderr: text}, run(t, append(args, "--election", "bakcup", "--socket", socket)...))
	}
	require.Equal(t, outcome{code: 1, stderr: text}, run(t, "why", "--election", "bakcup", "--socket", socket))
	require.Equal(t, outcome{code: 1, stderr: text}, run(t, "watch", "--election", "bakcup", "--socket", socket))
	require.Equal(t, outcome{code: 1, stderr: text}, run(t, "step-down", "--election", "bakcup", "--socket", socket))
	for timeout := 100 * time.Millisecond; ; timeout *= 4 { // until the agent has time to answer
		got := run(t, "wait", "--for", "goose", "--election", "bakcup", "--socket", socket, "--timeout", timeout.String())
		require.Equal(t, 2, got.code)
		if strings.Contains(got.stderr, `no election "bakcup"`) {
			break
		}
		require.Less(t, timeout, soon, got.stderr)
	}
}

func TestWaitWaitsForAnElectionThatIsNotThereYet(t *testing.T) {
	a, socket := fake(t)
	code := make(chan outcome, 1)
	go func() {
		code <- run(t, "wait", "--for", "goose", "--election", "backup", "--socket", socket, "--timeout", soon.String())
	}()
	require.Eventually(t, func() bool { return a.Missed() > 0 }, soon, time.Millisecond)
	a.Found("backup")
	require.Equal(t, outcome{stdout: "a\n"}, <-code)
}

func TestNamesOfElectionsAreJudgedBeforeAnybodyIsAsked(t *testing.T) {
	for _, name := range []string{"", ".", "..", "A", "a/b", "a b", strings.Repeat("x", 33)} {
		for _, args := range [][]string{{"status"}, {"is-goose"}, {"watch"}, {"step-down"}, {"wait", "--for", "goose"}, {"run"}} {
			got := run(t, append(args, "--election", name)...)
			require.Equal(t, 2, got.code, "%v %q", args, name)
			require.Contains(t, got.stderr, api.ElectionForm, "%v %q", args, name)
		}
	}
}

func TestAgentAndItsAPIAgreeOnNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "...", "a", "A", "a.b", "a_b-c", "a/b", "a b", "ä", "0", strings.Repeat("x", 32), strings.Repeat("x", 33), "a\x00"} {
		err := config.Config{Elections: []string{name}}.Default().Validate()
		require.Equal(t, api.ValidElection(name), err == nil, "%q: %v", name, err)
	}
}

func TestShellCompletesElectionsFromTheAgent(t *testing.T) {
	a, _, socket := backed(t)
	a.Found("archive").Change(func(s *api.Status) { s.Goose = nil })
	for _, command := range []string{"status", "why", "is-goose", "wait", "watch", "step-down", "run"} {
		got := run(t, "__complete", command, "--socket", socket, "--election", "")
		require.Zero(t, got.code, command)
		require.Equal(t, []string{"archive\tno goose", "backup\tgoose b", ":4"}, lines(got.stdout), command)
	}
	require.Equal(t, []string{"a\talive goose", "b\tfailed duck", ":4"}, lines(run(t, "__complete", "members", "--socket", socket, "--name", "").stdout))
	require.Equal(t, []string{"zone=x", ":4"}, lines(run(t, "__complete", "members", "--socket", socket, "--tag", "").stdout))
	require.Equal(t, []string{":4"}, lines(run(t, "__complete", "status", "--socket", socket+"x", "--election", "").stdout), "no agent, no list, no files")
}
