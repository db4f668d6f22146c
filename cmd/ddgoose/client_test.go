package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/config"
)

func TestCommandsAskTheAgentAndPrintItsAnswer(t *testing.T) {
	for _, c := range []struct {
		args   []string
		stdout string
		heard  string
	}{
		{[]string{"step-down"}, "b\n", `step down to ""`},
		{[]string{"step-down", "--to", "c", "--json"}, `{"goose":"c"}` + "\n", `step down to "c"`},
		{[]string{"step-down", "--force"}, "b\n", `step down to "", though frozen`},
		{[]string{"freeze"}, "frozen for 1h0m0s: a\nnot reached: b: it is dead or cut off; it learns of it when it returns\n", "freeze for 1h0m0s"},
		{[]string{"freeze", "--for", "20m", "--json"}, `{"remaining_s":1200,"reached":["a"],"unreached":[{"name":"b","error":"it is dead or cut off"}]}` + "\n", "freeze for 20m0s"},
		{[]string{"thaw"}, "thawed: a b\n", "thaw"},
		{[]string{"thaw", "--json"}, `{"remaining_s":0,"reached":["a","b"],"unreached":[]}` + "\n", "thaw"},
		{[]string{"leave"}, "", "leave, force false"},
		{[]string{"leave", "--force"}, "", "leave, force true"},
		{[]string{"force-leave", "e"}, "", `force "e" to leave`},
		{[]string{"join", "10.0.0.2", "b:1"}, "2 answered\n", `join ["10.0.0.2" "b:1"]`},
		{[]string{"join", "10.0.0.2", "--json"}, `{"joined":1}` + "\n", `join ["10.0.0.2"]`},
		{[]string{"simulate", "death", "--for", "10s"}, "", "die for 10s"},
		{[]string{"simulate", "revive"}, "", "revive"},
		{[]string{"netem", "set", "*: cut", "--for", "90s"}, "*: cut\n  for 1m30s more, seed 7\n", `netem "*: cut" for 1m30s`},
		{[]string{"netem", "set", "b: loss 1%", "--json"}, `{"rules":"b: loss 1%","expires_in_s":null,"seed":7}` + "\n", `netem "b: loss 1%" for 0s`},
		{[]string{"netem", "clear"}, "", "netem clear"},
	} {
		a, socket := fake(t)
		got := run(t, append(c.args, "--socket", socket)...)
		require.Equal(t, outcome{stdout: c.stdout}, got, "%v", c.args)
		require.Equal(t, []string{c.heard}, a.Heard(), "%v", c.args)
	}
}

func TestADeathWithoutAnEndSaysHowToEndIt(t *testing.T) {
	a, socket := fake(t)
	got := run(t, "simulate", "death", "--socket", socket, "--timeout", soon.String())
	require.Equal(t, outcome{stdout: "dead until revived: ddgoose simulate revive --socket " + socket + "\n"}, got)
	require.Equal(t, []string{"die for 0s"}, a.Heard())
}

func TestAFreezeOfMoreThanADayIsRefusedHere(t *testing.T) {
	a, socket := fake(t)
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: for 25h0m0s: want 24h0m0s at the most\n"}, run(t, "freeze", "--for", "25h", "--socket", socket))
	require.Empty(t, a.Heard())
}

func TestNetemShowsRulesAndHowLongTheyStand(t *testing.T) {
	_, socket := fake(t)
	require.Equal(t, outcome{stdout: "no fault rules\n"}, run(t, "netem", "show", "--socket", socket))
	require.Zero(t, run(t, "netem", "set", "*: loss 30%", "--socket", socket).code)
	require.Equal(t, outcome{stdout: "*: loss 30%\n  until cleared, seed 7\n"}, run(t, "netem", "show", "--socket", socket))
}

// asking are command lines that ask an agent and can fail in its hands.
var asking = map[string][]string{
	"step-down":       {"step-down"},
	"freeze":          {"freeze"},
	"thaw":            {"thaw"},
	"leave":           {"leave"},
	"force-leave":     {"force-leave", "b"},
	"join":            {"join", "b"},
	"simulate death":  {"simulate", "death"},
	"simulate revive": {"simulate", "revive"},
	"netem set":       {"netem", "set", "*: cut"},
}

func TestWhatTheAgentRefusesIsOneLineAndOne(t *testing.T) {
	for name, args := range asking {
		if name == "netem set" {
			continue // its refusals are of the rules: 400
		}
		a, socket := fake(t)
		a.Fail(api.Conflict("b is the goose, at 127.0.0.1:3826"))
		require.Equal(t, outcome{code: 1, stderr: "ddgoose: b is the goose, at 127.0.0.1:3826\n"}, run(t, append(args, "--socket", socket)...), name)
		a.Fail(errors.New("disk\n\tfull\n"))
		require.Equal(t, outcome{code: 1, stderr: "ddgoose: disk; full\n"}, run(t, append(args, "--socket", socket)...), name)
		a.Fail(api.Input("no such thing"))
		require.Equal(t, outcome{code: 2, stderr: "ddgoose: no such thing\n"}, run(t, append(args, "--socket", socket)...), name)
	}
	_, socket := fake(t)
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: rule cut: want PEER: FAULT\n"}, run(t, "netem", "set", "cut", "--socket", socket))
}

func TestNoAgentIsTwo(t *testing.T) {
	for name, args := range map[string][]string{
		"status": {"status"}, "members": {"members"}, "watch": {"watch"}, "is-goose": {"is-goose"}, "netem show": {"netem", "show"},
		"step-down": asking["step-down"], "leave": asking["leave"], "join": asking["join"], "netem set": asking["netem set"],
	} {
		socket := filepath.Join(shortDir(t), "a.sock")
		want := fmt.Sprintf("ddgoose: no agent answers at %s: is it running? start one with ddgoose agent\n", socket)
		require.Equal(t, outcome{code: 2, stderr: want}, run(t, append(args, "--socket", socket)...), name)
	}
	t.Setenv("DDGOOSE_SOCKET", "no-such-agent")
	got := run(t, "status")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.stderr, "no agent runs here as no-such-agent")
}

func TestTimeoutIsTwoAndNamesTheFlag(t *testing.T) {
	for _, args := range [][]string{asking["step-down"], asking["leave"], asking["join"]} {
		a, socket := fake(t)
		a.Hang()
		got := run(t, append(args, "--socket", socket, "--timeout", "50ms")...)
		require.Equal(t, 2, got.code, "%v", args)
		require.Contains(t, got.stderr, "not within 50ms (--timeout)")
	}
}

func TestCommandsWaitLongerThanTheWorksGrace(t *testing.T) {
	waits := map[string]time.Duration{}
	eachCommand(func(cmd *cobra.Command) {
		if f := cmd.Flags().Lookup("timeout"); f != nil {
			waits[cmd.Name()], _ = time.ParseDuration(f.DefValue)
		}
	})
	for _, name := range []string{"step-down", "leave", "force-leave", "freeze", "thaw"} {
		require.Greater(t, waits[name], 2*config.DefaultGrace, name)
	}
	require.Equal(t, 5*time.Second, waits["status"])
}

// A stopped agent is found out in the time that other commands take for it.
func TestAHungAgentIsNotWaitedForAsLongAsWork(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "a.sock")
	hung, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer hung.Close()
	got := run(t, append(asking["leave"], "--socket", socket)...)
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: the agent at " + socket + " has not answered: not within 5s; nothing was asked for\n"}, got)
}

func TestSocketComesFromTheFlagThenTheEnvironment(t *testing.T) {
	_, one := fake(t)
	b, two := fake(t)
	b.Change(func(s *api.Status) { s.Name = "second" })
	t.Setenv("DDGOOSE_SOCKET", two)
	require.Contains(t, run(t, "status").stdout, "second")
	require.NotContains(t, run(t, "status", "--socket", one).stdout, "second")
}

func TestAnswersThatCannotBeWrittenAreErrors(t *testing.T) {
	_, socket := fake(t)
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"members"}, {"watch"}, {"step-down"}, {"netem", "show"}, {"version"}, {"version", "--json"}} {
		if args[0] != "version" {
			args = append(args, "--socket", socket)
		}
		var stderr bytes.Buffer
		code := ddgoose(t.Context(), args, strings.NewReader(""), brokenWriter{}, &stderr)
		require.Equal(t, 1, code, "%v", args)
		require.Contains(t, stderr.String(), "the disk is full", "%v", args)
	}
	var stderr bytes.Buffer
	require.Equal(t, 2, ddgoose(t.Context(), []string{"is-goose", "--socket", socket}, nil, brokenWriter{}, &stderr), "1 would say that it is a duck")
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

func TestIsGooseTellsByItsExitCode(t *testing.T) {
	goose := func(*api.Status) {}
	for name, c := range map[string]struct {
		change func(*api.Status)
		code   int
		stdout string
		token  uint64
	}{
		"goose":     {goose, 0, "7\n", 7},
		"duck":      {func(s *api.Status) { s.Role, s.Lease = api.RoleDuck, api.Lease{} }, 1, "", 0},
		"candidate": {func(s *api.Status) { s.Role, s.Lease = api.RoleCandidate, api.Lease{} }, 1, "", 0},
		"dead":      {func(s *api.Status) { s.Role, s.Lease = api.RoleDead, api.Lease{} }, 1, "", 0},
		// An answer that took longer than the lease had left says nothing any more.
		"over": {func(s *api.Status) { s.Lease.RemainingMS = 0.000001 }, 1, "", 0},
	} {
		a, socket := fake(t)
		a.Change(func(s *api.Status) { s.Lease.RemainingMS = float64(soon.Milliseconds()) })
		a.Change(c.change)
		require.Equal(t, outcome{code: c.code, stdout: c.stdout}, run(t, "is-goose", "--socket", socket, "--timeout", soon.String()), name)
		require.Equal(t, outcome{code: c.code}, run(t, "is-goose", "-q", "--socket", socket, "--timeout", soon.String()), name)
		got := run(t, "is-goose", "--json", "--socket", socket, "--timeout", soon.String())
		require.Equal(t, c.code, got.code, name)
		var answer struct {
			Token uint64
			Lease api.Lease
		}
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &answer), name)
		require.Equal(t, c.token, answer.Token, name)
		require.Equal(t, c.token != 0, answer.Lease.Valid, name)
	}
}

func TestIsGooseIsQuietOfTroubleToo(t *testing.T) {
	require.Equal(t, outcome{code: exitUsage}, run(t, "is-goose", "-q", "--socket", "/nowhere/a.sock"))
}

func TestWatchPrintsEveryChangeAndEndsWithTheAgent(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		a, socket := apitest.New(), filepath.Join(shortDir(t), "a.sock")
		stop := serveFake(t, a, socket)
		args := []string{"watch", "--socket", socket, "--timeout", soon.String()}
		if asJSON {
			args = append(args, "--json")
		}
		r, w := io.Pipe()
		var stderr bytes.Buffer
		code := make(chan int, 1)
		go func() {
			code <- ddgoose(t.Context(), args, strings.NewReader(""), w, &stderr)
			_ = w.Close()
		}()
		read := func() string {
			var line strings.Builder
			for b := make([]byte, 1); ; {
				_, err := r.Read(b)
				require.NoError(t, err)
				if b[0] == '\n' {
					return line.String()
				}
				line.Write(b)
			}
		}
		first := read()
		a.Change(func(s *api.Status) { s.Role, s.Term = api.RoleDuck, 8 })
		second := read()
		if asJSON {
			var s api.Status
			require.NoError(t, json.Unmarshal([]byte(first), &s))
			require.Equal(t, apitest.Status(), s)
			require.NoError(t, json.Unmarshal([]byte(second), &s))
			require.EqualValues(t, 8, s.Term)
		} else {
			require.Regexp(t, `^\d\d:\d\d:\d\d\.\d\d\d a goose, goose a, term 7, token 7, 1 voters, 5 alive; warning: \.\.\.$`, first)
			require.Contains(t, second, "a duck, goose a, term 8")
		}
		stop()
		_, err := r.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, 1, <-code)
		require.Equal(t, fmt.Sprintf("ddgoose: the agent at %s has gone away\n", socket), stderr.String())
	}
}

func TestWaitHoldsForGooseAndVoters(t *testing.T) {
	voters := func(n int) func(*api.Status) {
		return func(s *api.Status) { s.Config.Voters = make([]api.Voter, n) }
	}
	for what, c := range map[string]struct{ before, after func(*api.Status) }{
		"goose":     {func(s *api.Status) { s.Goose = nil }, func(s *api.Status) { s.Goose = &api.Goose{Name: "b"} }},
		"voters=5":  {voters(3), voters(5)},
		"voters=3":  {voters(5), voters(3)},
		"voters>=3": {voters(2), voters(5)},
	} {
		a, socket := fake(t)
		a.Change(c.before)
		code := make(chan outcome, 1)
		go func() { code <- run(t, "wait", "--for", what, "--socket", socket, "--timeout", soon.String()) }()
		require.Eventually(t, func() bool { return a.Watching() == 1 }, soon, time.Millisecond, what)
		a.Change(c.after)
		want := outcome{}
		if what == forGoose {
			want.stdout = "b\n"
		}
		require.Equal(t, want, <-code, what)
	}
}

func TestWaitWaitsForAnAgentThatIsNotThereYet(t *testing.T) {
	socket := filepath.Join(shortDir(t), "a.sock")
	code := make(chan outcome, 1)
	go func() { code <- run(t, "wait", "--for", "goose", "--socket", socket, "--timeout", soon.String()) }()
	serveFake(t, apitest.New(), socket)
	require.Equal(t, outcome{stdout: "a\n"}, <-code)
}

func TestWaitSaysWhatStandsWhenItsTimeIsOver(t *testing.T) {
	_, socket := fake(t)
	got := run(t, "wait", "--for", "voters=9", "--socket", socket, "--timeout", "100ms")
	require.Equal(t, 2, got.code)
	require.Regexp(t, `^ddgoose: waited 100ms for voters=9: (a goose, goose a, term 7, token 7, 1 voters|no agent has answered|the agent at .* has not answered)`, got.stderr)
	require.Len(t, lines(got.stderr), 1)
}

func TestCommandEndsWithItsContext(t *testing.T) {
	a, socket := fake(t)
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- ddgoose(ctx, []string{"watch", "--socket", socket}, strings.NewReader(""), io.Discard, io.Discard)
	}()
	require.Eventually(t, func() bool { return a.Watching() == 1 }, soon, time.Millisecond)
	cancel()
	require.Equal(t, 1, <-code)
}
