package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every refusal is one line, and says what was wrong, with the value, and what
// would be right.
func TestBadCommandLinesAreTwoAndSayWhatWouldBeRight(t *testing.T) {
	for _, c := range []struct {
		line string // words are cut at spaces
		want []string
	}{
		{"netme", []string{`no command "netme"`, "did you mean netem?"}},
		{"xyzzy", []string{`no command "xyzzy"`, "it has agent"}},
		{"simulate", []string{"ddgoose simulate wants a command: death revive"}},
		{"simulate sleep", []string{`no command "sleep"`, "it has death revive"}},
		{"flock partiton a/b", []string{`ddgoose flock has no command "partiton"`, "did you mean partition?"}},
		{"flock heal now", []string{"ddgoose flock heal takes no arguments", `"now"`}},
		{"netem sho", []string{`no command "sho"`, "did you mean set or show?"}},
		{"version now", []string{`ddgoose version takes no arguments`, `"now"`}},
		{"status --jsn", []string{"unknown flag: --jsn", "ddgoose status --help"}},
		{"status --timeout 5", []string{`"5"`, "--timeout", "as 250ms or 5s"}},
		{"status --timeout -5s", []string{`"-5s"`, "above 0"}},
		{"status -o yaml", []string{`"yaml"`, "--output", "want one of table, json"}},
		{"status --json=maybe", []string{`"maybe"`, "--json", "want true or false"}},
		{"wait", []string{"--for goose or --for voters=N"}},
		{"status --socket ./" + strings.Repeat("x", 120), []string{"has 122 bytes", "name a shorter one with --socket"}},
		{"run --socket ./" + strings.Repeat("x", 120) + " true", []string{"has 122 bytes", "name a shorter one with --socket"}},
		{"wait --for goose --socket ./" + strings.Repeat("x", 120), []string{"has 122 bytes", "name a shorter one with --socket"}},
		{"wait --for ducks", []string{`"ducks"`, "want goose, voters=N"}},
		{"wait --for voters=0", []string{`"voters=0"`, "above 0"}},
		{"wait --for voters", []string{`"voters"`, "voters=N"}},
		{"join", []string{"want one or more addresses", "ddgoose join 10.0.0.2:3825"}},
		{"force-leave", []string{"takes NAME", "ddgoose force-leave e"}},
		{"force-leave a b", []string{`["a" "b"]`, "ddgoose force-leave e"}},
		{"netem set *: cut", []string{"takes RULES, in quotes", `["*:" "cut"]`}},
		{"netem set x --for ever", []string{`"ever"`, "with its unit"}},
		{"simulate death --for 0s", []string{`"0s"`, "above 0"}},
		{"freeze 1h", []string{"ddgoose freeze takes no arguments", `"1h"`}},
		{"freeze --for 1d", []string{`"1d"`, "with its unit"}},
		{"freeze --for 25h", []string{"for 25h0m0s", "want 24h0m0s at the most"}},
		{"agent --preempt --priority 0", []string{"preempt", "drop --preempt and --observer, or set a --priority above 0"}},
		{"agent --preempt --observer", []string{"preempt", "never leads"}},
		{"agent --preempt-after 100ms", []string{"preempt-after 100ms", "want 1s to 24h0m0s"}},
		{"keygen FILE", []string{"takes no arguments", `"FILE"`}},
		{"flock --lease 1ms", []string{"lease 1ms: want 4 heartbeats or more, 200ms with a heartbeat of 50ms"}},
		{"soak --lease 1s", []string{`"1s"`, "--lease", "want one of profile, auto"}},
		{"bench api --changes 0", []string{`"0"`, "--changes", "want a number from 1 to 1000"}},
		{"bench api --clients 0", []string{`"0"`, "--clients", "want a number from 1 to 500"}},
		{"bench handoff --step-downs 0", []string{`"0"`, "--step-downs", "want a number from 1"}},
		{"bench start --starts 0", []string{`"0"`, "--starts", "want a number from 1"}},
		{"bench pause --pauses 0", []string{`"0"`, "--pauses", "want a number from 1"}},
		{"bench failover --idle -1s", []string{`"-1s"`, "--idle", "want a time of 0s or more with its unit"}},
		{"bench failover --kills 0 --step-downs 0 --idle 0s", []string{"nothing to measure", "--kills, --step-downs or --idle"}},
		{"bench failover --delay 2h", []string{"2h0m0s", "want a delay from 0s to 1h"}},
		{"flock -n x", []string{`"x" for "-n, --agents" flag: want a number from 1 to 26`}},
		{"flock --agents 27", []string{`"27"`, "want a number from 1 to 26"}},
		{"bench idle --agents x", []string{`"x" for "-n, --agents" flag: want a number from 1 to 26`}},
		{"sim --seeds x", []string{`"x" for "--seeds" flag: want a number from 1 to`}},
		{"proxy --listen x --to-port 80", []string{`"x" for "--listen" flag: want HOST:PORT, as 127.0.0.1:5432`}},
		{"proxy --listen 127.0.0.1:99999 --to-port 80", []string{`"127.0.0.1:99999"`, "want HOST:PORT"}},
		{"proxy --listen 127.0.0.1:0 --to-port 0", []string{`"0" for "--to-port" flag: want a number from 1 to 65535`}},
		{"status --socket=", []string{`"" for "--socket" flag: want a PATH or a NAME, or no --socket`}},
		{"leave --socket=", []string{`"" for "--socket" flag: want a PATH or a NAME`}},
		{"run --socket= true", []string{`"" for "--socket" flag: want a PATH or a NAME`}},
		{"vip --socket= 10.0.0.100/32 --dev eth0", []string{`"" for "--socket" flag: want a PATH or a NAME`}},
		{"proxy --socket= --listen 127.0.0.1:0 --to-port 80", []string{`"" for "--socket" flag: want a PATH or a NAME`}},
		{"recover", []string{"--keep a,b"}},
		{"agent up", []string{"ddgoose agent takes no arguments", `"up"`}},
		{"agent --socket ./" + strings.Repeat("x", 120), []string{"has 122 bytes", "name a shorter one with --socket"}},
		{"agent --name a/b", []string{`name "a/b"`, "want 1 to 63 of A-Z a-z 0-9"}},
		{"agent --bind 127.0.0.1:99999", []string{`"99999"`, "want 0 to 65535"}},
		{"agent --bind 0.0.0.0 --key-file=", []string{"bind 0.0.0.0:3825 without a key", "--key-file F", "--insecure"}},
		{"agent --join 10.0.0.1", []string{"join 10.0.0.1 from a loopback bind", "--bind 0.0.0.0:3825 --key-file F"}},
		{"agent --join 127.0.0.1:http", []string{`"http"`, "want 1 to 65535"}},
		{"agent --expect -1", []string{`"-1"`, "--expect", "want a number from 0"}},
		{"agent --expect 1000", []string{"expect 1000", "want 1 to"}},
		{"agent --voters 4", []string{"voters 4", "want 1, 3, 5 or 7"}},
		{"agent --voters 0", []string{"voters 0", "want 1, 3, 5 or 7"}},
		{"agent --election Backup", []string{`election "Backup"`, "want 1 to 32 of a-z 0-9 . _ -, as nightly-backup"}},
		{"agent --election a,,b", []string{`election ""`, "want 1 to 32"}},
		{"agent --election ..", []string{`election ".."`, "want 1 to 32"}},
		{"agent --election a,b --election a", []string{`election "a" is named twice`, "want each once"}},
		{"agent --election " + namesOfElections(112), []string{`election "e111" is one too many`, "want 111 at the most"}},
		{"flock --election a,a", []string{`election "a" is named twice`}},
		{"agent --voters many", []string{`"many"`, "want a number"}},
		{"agent --priority 256", []string{`"256"`, "from 0 to 255"}},
		{"agent --socket a.sock", []string{`"a.sock"`, "./a.sock"}},
		{"agent --socket-mode 888", []string{`"888"`, "want octal permissions, as 0600"}},
		{"agent --socket-mode 0", []string{`"0"`, "want octal permissions"}},
		{"agent --profile fast", []string{`"fast"`, "lan, local, wan"}},
		{"agent --heartbeat 50", []string{`"50"`, "with its unit"}},
		{"agent --heartbeat 100ms --lease 200ms", []string{"lease 200ms", "4 heartbeats or more, 400ms with a heartbeat of 100ms"}},
		{"agent --lease 11s --heartbeat 300us --voters 2", []string{"heartbeat 300µs", "1ms or more", "lease 11s", "10s or less", "voters 2"}},
		{"agent --grace 10", []string{`"10"`, "with its unit"}},
		{"agent --grace 0s", []string{`"0s"`, "want a time above 0"}},
		{"agent --grace 90m", []string{"grace 1h30m0s", "want 1h0m0s or less"}},
		{"agent --tag rack", []string{`"rack"`, "want KEY=VALUE, as rack=7"}},
		{"agent --tag a=1 --tag a=2", []string{`tag "a" is given twice`}},
		{"agent --log-level loud", []string{`"loud"`, "debug, info, warn, error"}},
		{"agent --log-format xml", []string{`"xml"`, "text, json"}},
		{"agent --netem cut", []string{`"cut"`, "want out, in, both or peers"}},
		{"agent --netem-seed abc", []string{`"abc"`, "want a number"}},
		{"agent --http 8080", []string{`http "8080"`, "want HOST:PORT"}},
		{"agent --flock " + strings.Repeat("x", 300), []string{"flock label of 300 bytes", "want 1 to"}},
	} {
		dir := shortDir(t)
		args := strings.Fields(c.line)
		if len(args) > 0 && args[0] == "agent" { // should it start after all, then here
			args = append(args, "--data-dir", filepath.Join(dir, "data"))
			if !strings.Contains(c.line, "--socket ") {
				args = append(args, "--socket", filepath.Join(dir, "a.sock"))
			}
		}
		got := run(t, args...)
		require.Equal(t, 2, got.code, "%s: %s", c.line, got.stderr)
		require.Empty(t, got.stdout, c.line)
		require.Len(t, lines(got.stderr), 1, c.line)
		require.True(t, strings.HasPrefix(got.stderr, "ddgoose: "), c.line)
		for _, part := range c.want {
			require.Contains(t, got.stderr, part, c.line)
		}
		require.NoDirExists(t, filepath.Join(dir, "data"), c.line)
	}
}

// namesOfElections is a comma list of so many.
func namesOfElections(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("e", i)
	}
	return strings.Join(names, ",")
}

func TestKeygenWritesAKeyThatOnlyItsOwnerReads(t *testing.T) {
	got := run(t, "keygen")
	require.Zero(t, got.code)
	key, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(got.stdout, "\n"))
	require.NoError(t, err)
	require.Len(t, key, 32)
	require.NotEqual(t, got.stdout, run(t, "keygen").stdout)

	path := filepath.Join(t.TempDir(), "k")
	require.Equal(t, outcome{}, run(t, "keygen", "--out", path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Regexp(t, `^[A-Za-z0-9+/]{43}=\n$`, string(text))

	got = run(t, "keygen", "--out", path)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, path+" exists")
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, again)
	require.Equal(t, 1, run(t, "keygen", "--out", filepath.Join(path, "x")).code)
}

func TestVersionOfGoInstallIsGos(t *testing.T) {
	of := func(info *debug.BuildInfo) (told [3]string) {
		told[0], told[1], told[2] = stamped(info)
		return told
	}
	require.Equal(t, [3]string{"unknown", "", ""}, of(nil))
	require.Equal(t, [3]string{"unknown", "", ""}, of(&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}))
	require.Equal(t, [3]string{"v1.2.3", "0123456789ab", "2026-11-28"}, of(&debug.BuildInfo{
		Main:     debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-11-28T12:00:00Z"}},
	}))
}

func TestVersionIsToldToPeopleAndPrograms(t *testing.T) {
	for _, how := range []string{"version", "--version", "-v"} {
		require.Regexp(t, `^ddgoose unknown \(go\S+ \w+/\w+\)\n$`, run(t, how).stdout, how)
	}
	require.Regexp(t, `^\{"version":"unknown","go":".*","os":".*","arch":".*"\}\n$`, run(t, "version", "--json").stdout)
}

func TestWithoutACommandThereIsHelp(t *testing.T) {
	require.Equal(t, run(t, "--help"), run(t))
	require.Contains(t, run(t).stdout, "Usage:\n  ddgoose")
}
