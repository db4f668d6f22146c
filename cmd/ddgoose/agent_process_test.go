package main

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestProcessAgentStartsAnswersAndStops(t *testing.T) {
	t.Parallel()
	a := startAgent(t, shortDir(t), "a")
	require.Equal(t, outcome{stdout: "a\n"}, call(t, "wait", "--for", "goose", "--socket", a.socket, "--timeout", soon.String()))
	var token uint64
	for i, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if i > 0 {
			a.start()
		}
		s := a.until("goose", isGoose)
		require.Equal(t, "v-test", s.Version)
		require.Greater(t, s.Token, token, "tokens only grow")
		token = s.Token
		// A machine that stands still for a lease makes it a duck for a moment.
		apitest.Eventually(t, func() bool {
			got := call(t, "is-goose", "--socket", a.socket, "--timeout", soon.String())
			n, err := strconv.ParseUint(strings.TrimSpace(got.stdout), 10, 64)
			return got.code == 0 && err == nil && n >= token
		}, "is-goose says so")
		a.signal(sig)
		require.Zero(t, a.exit(), a.log)
		require.NoFileExists(t, a.socket)
		require.Contains(t, a.log.String(), "level=INFO msg=stopped")
		require.Equal(t, 2, call(t, "is-goose", "--socket", a.socket).code)
	}
}

func TestProcessGracefulStopHandsOver(t *testing.T) {
	t.Parallel()
	flock := newFlockWith(t, calm, "a", "b", "c")
	goose, token := gooseOf(t, 0, flock...)
	goose.signal(syscall.SIGTERM)
	require.Zero(t, goose.exit(), goose.log)
	require.Contains(t, goose.log.String(), "handed over")
	next, higher := gooseOf(t, token, without(flock, goose)...)
	require.Greater(t, higher, token)
	require.Len(t, next.status().Config.Voters, 3, "a stop changes no voters")
	got := call(t, "step-down", "--socket", next.socket, "--timeout", soon.String())
	require.Zero(t, got.code, got.stderr)
	last := without(without(flock, goose), next)[0]
	require.Equal(t, last.name+"\n", got.stdout)
}

func TestProcessSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	flock := newFlock(t, "a", "b", "c")
	goose, _ := gooseOf(t, 0, flock...)
	for _, p := range without(flock, goose) {
		p.signal(syscall.SIGKILL) // nobody is left to hand over to
		p.exit()
	}
	goose.signal(syscall.SIGTERM)
	apitest.Eventually(t, func() bool {
		return strings.Contains(goose.log.String(), "a second signal stops at once") || closed(goose.gone)
	}, "it stops")
	if !closed(goose.gone) {
		_ = goose.cmd.Process.Signal(syscall.SIGINT) // it may end just now
	}
	code := goose.exit()
	if strings.Contains(goose.log.String(), "msg=stopped") {
		require.Zero(t, code) // it was faster than the second signal
		return
	}
	require.Equal(t, 1, code)
	require.Contains(t, goose.log.String(), "ddgoose: stopped at once by a second signal (interrupt)")
}

func TestProcessKilledAgentComesBack(t *testing.T) {
	t.Parallel()
	flock := newFlock(t, "a", "b", "c")
	goose, token := gooseOf(t, 0, flock...)
	id := goose.status().ID
	goose.signal(syscall.SIGKILL)
	require.Equal(t, -1, goose.exit())
	next, higher := gooseOf(t, token, without(flock, goose)...)
	goose.start("--join", next.addr())
	s := goose.until("back", func(s api.Status) bool { return s.Goose != nil && s.Token >= higher })
	require.Equal(t, id, s.ID)
	require.True(t, s.Voter)
	require.Len(t, s.Config.Voters, 3)
}

func TestProcessHupReloadsLogLevelAndKeys(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	config, keyFile := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "keys")
	key := func(c string) string {
		return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))) + "\n"
	}
	write := func(path, text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(keyFile, key("1"))
	write(config, "log-level: info\nlog-format: json\n")
	a := startAgent(t, dir, "a", "--config", config, "--key-file", keyFile)
	b := startAgent(t, dir, "b", "--config", config, "--key-file", keyFile, "--join", a.addr())
	both := func(s api.Status) bool { return s.Alive >= 2 && s.Goose != nil }
	reloads := 0
	hup := func() {
		reloads++
		for _, p := range []*process{a, b} {
			p.signal(syscall.SIGHUP)
			apitest.Eventually(t, func() bool { return strings.Count(p.log.String(), `"msg":"reload`) == reloads }, "%s has reloaded: %s", p.name, p.log)
			p.until("both are there", both)
		}
	}
	a.until("both are there", both)
	require.NotContains(t, a.log.String(), `"level":"DEBUG"`)
	write(config, "log-level: debug\nlog-format: text\n")
	for _, keys := range []string{key("1") + key("2"), key("2") + key("1"), key("2")} {
		write(keyFile, keys)
		hup()
	}
	require.Contains(t, a.log.String(), `"msg":"reloaded","log_level":"debug","keys":1`)
	require.Contains(t, a.log.String(), `"msg":"changed, and takes effect at the next start only","flags":"log-format"`)

	c := startAgent(t, dir, "c", "--key-file", keyFile, "--join", a.addr())
	c.until("joined with the new key alone", func(s api.Status) bool { return s.Alive == 3 && s.Goose != nil })

	write(config, "log-level: loud\n")
	hup()
	require.Contains(t, a.log.String(), "reload refused, all stays as it was")
	require.Contains(t, a.log.String(), "want one of debug, info, warn, error")
	write(config, "log-level: info\n")
	write(keyFile, "n0t!\n")
	hup()
	require.Contains(t, a.log.String(), "not base64")
	a.until("all are there", func(s api.Status) bool { return s.Alive == 3 && s.Goose != nil })
}

func TestProcessHupTakesAnotherKeyFile(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	config, old, next := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "old.key"), filepath.Join(dir, "next.key")
	line := func(c string) string {
		return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))) + "\n"
	}
	write := func(path, text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(old, line("1"))
	write(next, line("1"))
	write(config, "key-file: "+old+"\n")
	a := newProcess(t, dir, "a")
	start := func() { // without the tests' own key, which beats the file's
		a.spawn(exec.Command("env", "-u", "DDGOOSE_KEY_FILE", binary(t), "agent", "--name", "a", "--bind", "127.0.0.1:0",
			"--data-dir", a.data, "--socket", a.socket, "--config", config))
	}
	start()
	a.until("goose", isGoose)
	write(config, "key-file: "+next+"\n")
	a.signal(syscall.SIGHUP)
	apitest.Eventually(t, func() bool { return strings.Contains(a.log.String(), "msg=reloaded") }, "it has reloaded: %s", a.log)
	require.NotContains(t, a.log.String(), "at the next start only")

	key := strings.TrimSpace(line("2"))
	for _, do := range []string{"install", "use"} {
		got := call(t, "keys", do, key, "--socket", a.socket)
		require.Zero(t, got.code, got.stderr)
	}
	text, err := os.ReadFile(next)
	require.NoError(t, err)
	require.Equal(t, line("2")+line("1"), string(text))
	text, err = os.ReadFile(old)
	require.NoError(t, err)
	require.Equal(t, line("1"), string(text), "what is no longer named is left alone")

	// What was changed is there after a restart.
	a.signal(syscall.SIGTERM)
	require.Zero(t, a.exit(), a.log)
	start()
	a.until("goose again", isGoose)
	require.Contains(t, call(t, "keys", "list", "--json", "--socket", a.socket).stdout, `"sealing":["a"],"holding":["a"]`)
	require.Zero(t, call(t, "keys", "remove", strings.TrimSpace(line("1")), "--socket", a.socket).code)
}

func TestProcessFaultRulesOutliveASimulatedDeath(t *testing.T) {
	t.Parallel()
	a := startAgent(t, shortDir(t), "a", "--netem", "*:  loss 10%", "--netem-seed", "7")
	a.until("goose", isGoose)
	require.Equal(t, outcome{stdout: "*: loss 10%\n  until cleared, seed 7\n"}, call(t, "netem", "show", "--socket", a.socket))
	require.Zero(t, call(t, "netem", "set", "*: delay 1ms", "--socket", a.socket).code)
	require.Zero(t, call(t, "simulate", "death", "--socket", a.socket).code)
	a.until("dead", func(s api.Status) bool { return s.Role == api.RoleDead })
	require.Equal(t, 1, call(t, "is-goose", "--socket", a.socket, "--timeout", soon.String()).code)
	require.Contains(t, call(t, "netem", "show", "--socket", a.socket).stdout, "*: delay 1ms\n")
	require.Zero(t, call(t, "netem", "set", "*: delay 2ms", "--for", "1h", "--socket", a.socket).code)
	require.Zero(t, call(t, "simulate", "revive", "--socket", a.socket).code)
	a.until("goose under the last rules", func(s api.Status) bool { return isGoose(s) && s.Netem == "*: delay 2ms" })
	require.Regexp(t, `for (59m\d\ds|1h0m0s) more, seed 7`, call(t, "netem", "show", "--socket", a.socket).stdout)
	require.Zero(t, call(t, "netem", "clear", "--socket", a.socket).code)
	a.until("goose", func(s api.Status) bool { return isGoose(s) && s.Netem == "" })
}

func TestProcessLeaveEndsTheAgent(t *testing.T) {
	t.Parallel()
	flock := newFlock(t, "a", "b", "c")
	c := flock[2]
	require.Equal(t, outcome{}, call(t, "leave", "--socket", c.socket, "--timeout", soon.String()))
	require.Zero(t, c.exit(), c.log)
	c.start()
	require.Equal(t, 1, c.exit())
	require.Contains(t, c.log.String(), "this agent has left its flock: start it with --join ADDR")
}
