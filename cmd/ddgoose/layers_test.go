package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/health"
	"duckduckgoose/agent/hooks"
)

// settingsOf returns the settings of a command line and an environment.
func settingsOf(t *testing.T, line []string, env map[string]string) (*agentSettings, error) {
	t.Helper()
	var s agentSettings
	s.flags()
	require.NoError(t, s.set.Parse(line))
	l := settingLayers{line: commandLine(s.set), lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	return &s, l.fill(&s)
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	for _, c := range []struct {
		name             string
		flag, env, file  string
		want             time.Duration
		auto             bool
		wantJoin         []string
		fJoin, eJoin, yJ string
	}{
		{name: "default"},
		{name: "file", file: "300ms", yJ: "[f1, 'f2,f3']", want: 300 * time.Millisecond, wantJoin: []string{"f1", "f2", "f3"}},
		{name: "environment", env: "200ms", file: "300ms", eJoin: "e1,e2", yJ: "[f1]", want: 200 * time.Millisecond, wantJoin: []string{"e1", "e2"}},
		{name: "flag", flag: "100ms", env: "200ms", file: "300ms", fJoin: "l1", eJoin: "e1", yJ: "f1", want: 100 * time.Millisecond, wantJoin: []string{"l1"}},
		{name: "flag over file", flag: "100ms", file: "300ms", want: 100 * time.Millisecond},
		{name: "auto", file: "auto", auto: true},
		{name: "flag over auto", flag: "100ms", file: "auto", want: 100 * time.Millisecond},
		{name: "auto over file", flag: "auto", file: "300ms", auto: true},
	} {
		var line []string
		env := map[string]string{"DDGOOSE_NO_FLAG": "x", "DDGOOSE_PORT_3825_TCP": "tcp://10.0.0.1:3825", "DDGOOSE_NAME": ""}
		file := "# settings\nname: from-file\n"
		if c.flag != "" {
			line = append(line, "--lease", c.flag)
		}
		if c.fJoin != "" {
			line = append(line, "--join", c.fJoin)
		}
		if c.env != "" {
			env["DDGOOSE_LEASE"] = c.env
		}
		if c.eJoin != "" {
			env["DDGOOSE_JOIN"] = c.eJoin
		}
		if c.file != "" {
			file += "lease: " + c.file + "\n"
		}
		if c.yJ != "" {
			file += "join: " + c.yJ + "\n"
		}
		s, err := settingsOf(t, append(line, "--config", writeFile(t, file)), env)
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, s.Lease, c.name)
		require.Equal(t, c.auto, s.AutoLease, c.name)
		require.Equal(t, c.wantJoin, s.Join, c.name)
		require.Equal(t, "from-file", s.Name, "%s: an empty variable is not set", c.name)
	}
}

func TestEveryFlagCanBeSetByEnvironmentAndFile(t *testing.T) {
	words := map[string]string{
		"name": "n", "bind": "127.0.0.1:1", "advertise": "10.0.0.9", "join": "x,y", "expect": "3", "data-dir": "/d", "socket": "/s",
		"socket-mode": "0660", "http": "h:1", "flock": "f", "key-file": "/k", "insecure": "true", "profile": "wan", "heartbeat": "7ms",
		"lease": "70ms", "grace": "8s", "voters": "3", "priority": "0", "preempt": "true", "preempt-after": "7m", "observer": "true", "warden": "true", "election": "backup, reports", "tag": "rack=7", "on": "goose=a=b, c", "hook-timeout": "9s", "log-level": "warn", "log-format": "json",
		"check": "tcp://h:1", "check-interval": "4s", "check-timeout": "3s", "check-rise": "6", "check-fall": "5", "checks": "{backup: {check: df, check-rise: 4}}",
		"netem": "*: cut", "netem-seed": "18446744073709551615",
	}
	env, file := map[string]string{}, ""
	var flags []string
	for name, w := range words {
		env[envName(name)] = w
		file += name + ": \"" + w + "\"\n"
		flags = append(flags, "--"+name+"="+w)
	}
	ofLine, err := settingsOf(t, flags, nil)
	require.NoError(t, err)
	ofEnv, err := settingsOf(t, nil, env)
	require.NoError(t, err)
	ofFile, err := settingsOf(t, []string{"--config", writeFile(t, file)}, nil)
	require.NoError(t, err)
	ofLine.set.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" {
			require.Contains(t, words, f.Name, "this test is of every flag")
		}
	})
	for _, s := range []*agentSettings{ofLine, ofEnv, ofFile} {
		s.set, s.configFile = nil, ""
	}
	require.Equal(t, ofLine, ofEnv)
	require.Equal(t, ofLine, ofFile)
	require.EqualValues(t, 0o660, ofFile.SocketMode)
}

func TestFileTakesListsMapsAndPlainWords(t *testing.T) {
	s, err := settingsOf(t, []string{"--config", writeFile(t, `
join: [10.0.0.1, "b:3825"]
tag: {zone: x, note: "a,b=c"}
election: [backup, "reports,etl"]
on:
  goose: echo one, two
  change: [first, 'second=2']
check: http://127.0.0.1/
checks:
  backup: {check: df --output, check-interval: 10s}
  etl:
    check: tcp://127.0.0.1:5432
    check-fall: 7
socket-mode: 0640
priority: 7
observer: true
`)}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"10.0.0.1", "b:3825"}, s.Join)
	require.Equal(t, []string{"backup", "reports", "etl"}, s.Elections)
	require.Equal(t, map[string]string{"zone": "x", "note": "a,b=c"}, s.Tags)
	require.Equal(t, []hooks.Hook{{On: "goose", Command: "echo one, two"}, {On: "change", Command: "first"}, {On: "change", Command: "second=2"}}, s.hooks)
	require.Equal(t, "http://127.0.0.1/", s.Check.Ask)
	require.Equal(t, map[string]health.Check{
		"backup": {Ask: "df --output", Interval: 10 * time.Second}, "etl": {Ask: "tcp://127.0.0.1:5432", Fall: 7},
	}, s.Checks)
	require.EqualValues(t, 0o640, s.SocketMode)
	require.EqualValues(t, 7, *s.Priority)
	require.True(t, s.Observer)
	_, err = settingsOf(t, []string{"--config", writeFile(t, "# nothing\n")}, nil)
	require.NoError(t, err)
}

func TestHooksOfALayerReplaceThoseBelow(t *testing.T) {
	file := writeFile(t, "on: ['duck=of the file']\nhook-timeout: 3s\n")
	env := map[string]string{"DDGOOSE_ON": "duck=of the, environment\ngoose=too\n", "DDGOOSE_HOOK_TIMEOUT": "2s"}
	for _, c := range []struct {
		line    []string
		env     map[string]string
		want    []hooks.Hook
		timeout time.Duration
	}{
		{nil, nil, []hooks.Hook{{On: "duck", Command: "of the file"}}, 3 * time.Second},
		{nil, env, []hooks.Hook{{On: "duck", Command: "of the, environment"}, {On: "goose", Command: "too"}}, 2 * time.Second},
		{[]string{"--on", "duck=of the line", "--on", "duck=again", "--hook-timeout", "1s"}, env, []hooks.Hook{{On: "duck", Command: "of the line"}, {On: "duck", Command: "again"}}, time.Second},
	} {
		s, err := settingsOf(t, append(c.line, "--config", file), c.env)
		require.NoError(t, err)
		require.Equal(t, c.want, s.hooks)
		require.Equal(t, c.timeout, s.hookTimeout)
	}
	s, err := settingsOf(t, nil, nil)
	require.NoError(t, err)
	require.Empty(t, s.hooks)
	require.Equal(t, hooks.DefaultTimeout, s.hookTimeout)
}

func TestBadSettingsNameTheirPlaceAndWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string][]string{
		"nmae: a\n":                     {"line 1", `unknown key "nmae"`, "want one of name bind advertise"},
		"name: a\nlog_level: info\n":    {"line 2", `unknown key "log_level"`, " log-level "},
		"config: other.yaml\n":          {`unknown key "config"`},
		"help: true\n":                  {`unknown key "help"`},
		"a: 1\nb: 2\n":                  {`unknown key "a"`, `unknown key "b"`},
		"name: a\nname: b\n":            {"line 2", `key "name" stands twice`},
		"name:\n":                       {"line 1", "name: it has no value"},
		"lease: 500\n":                  {"line 1", `lease: "500": want a time above 0 with its unit`},
		"lease: [1s]\n":                 {"lease: want a single value"},
		"join: {a: b}\n":                {"join: want a list of words"},
		"join: [[a]]\n":                 {"join: want plain words"},
		"tag: {a: {b: c}}\n":            {"tag: want plain words"},
		"- name\n":                      {"line 1", "want keys with values"},
		"just words\n":                  {"want keys with values"},
		"name: a\n---\nname: b\n":       {"several documents"},
		"name: [a\n":                    {"yaml:", "line "},
		"lease: 5\nheartbeat: x\n":      {`lease: "5"`, `heartbeat: "x"`},
		"tag: [rack]\n":                 {`tag: "rack": want KEY=VALUE`},
		"on: {gander: x}\n":             {"line 1", `on: "gander=x": want goose, duck, change or member, and a command`},
		"on: {goose: {a: b}}\n":         {"on: want plain words"},
		"on: {goose: [[a]]}\n":          {"on: want plain words"},
		"on: {goose: ''}\n":             {`on: "goose=": want goose, duck`},
		"tag: {a: [b]}\n":               {"tag: want plain words"},
		"priority: 1000\nobserver: 7\n": {`priority: "1000"`, `observer: "7"`},
	} {
		path := writeFile(t, text)
		_, err := settingsOf(t, []string{"--config", path}, nil)
		require.Error(t, err, text)
		require.Contains(t, err.Error(), path, text)
		for _, part := range want {
			require.Contains(t, err.Error(), part, text)
		}
		got := run(t, "agent", "--config", path)
		require.Equal(t, 2, got.code, text)
		require.Len(t, lines(got.stderr), 1, text)
	}
	_, err := settingsOf(t, nil, map[string]string{"DDGOOSE_LEASE": "5", "DDGOOSE_VOTERS": "x"})
	require.ErrorContains(t, err, `DDGOOSE_LEASE "5": want a time above 0`)
	require.ErrorContains(t, err, `DDGOOSE_VOTERS "x": want a number`)
	got := run(t, "agent", "--config", "/no/such/file")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "config file: open /no/such/file")
}

func TestReloadReadsAllLayersAnew(t *testing.T) {
	path := writeFile(t, "log-level: info\nlease: 500ms\n")
	line := map[string][]string{"config": {path}, "join": {"a", "b,c"}, "insecure": {"true"}}
	l := settingLayers{line: line, lookup: func(string) (string, bool) { return "", false }}
	old, err := l.read()
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, old.Join)
	require.True(t, old.Insecure)
	require.NoError(t, os.WriteFile(path, []byte("log-level: debug\nlease: 600ms\ntag: {a: b}\non: {duck: x}\nhttp: ':1'\n"), 0o600))
	now, err := l.read()
	require.NoError(t, err)
	require.Equal(t, "debug", now.logLevel)
	require.Equal(t, []string{"http", "lease"}, old.changed(now))
	require.NoError(t, os.WriteFile(path, []byte("log-level: loud\n"), 0o600))
	_, err = l.read()
	require.ErrorContains(t, err, "loud")
}

// TestAnEmptyJoinFoundsNoFlock has it refused wherever it is given: a variable
// that a template leaves empty must not end in a second flock.
func TestAnEmptyJoinFoundsNoFlock(t *testing.T) {
	for name, c := range map[string]struct {
		line []string
		env  string
		file string
	}{
		"flag": {line: []string{"--join", ""}}, "blank": {line: []string{"--join", " "}}, "comma": {line: []string{"--join", ","}},
		"twice": {line: []string{"--join", "", "--join", ","}}, "environment": {env: ","}, "blank environment": {env: " "},
		"list": {file: "join: []\n"}, "list of nothing": {file: "join: ['']\n"}, "word": {file: "join: ''\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := settingsOf(t, append(c.line, "--config", writeFile(t, c.file)), map[string]string{"DDGOOSE_JOIN": c.env})
			require.NoError(t, err)
			_, err = s.config()
			require.ErrorContains(t, err, "join: the list is empty: name an agent (HOST[:PORT])")
		})
	}
	s, err := settingsOf(t, []string{"--join", "", "--join", "127.0.0.1,"}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1"}, s.Join, "one address is enough")
	s, err = settingsOf(t, nil, map[string]string{"DDGOOSE_JOIN": "127.0.0.1,exec:list a,b"})
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1", "exec:list a,b"}, s.Join)
}
