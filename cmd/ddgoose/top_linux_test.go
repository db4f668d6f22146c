package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// TestProcessesOfAFlockAreShownOnTerminals starts a flock on one terminal and
// ddgoose top on another, and uses both as people do.
func TestProcessesOfAFlockAreShownOnTerminals(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	driver := startConsole(t, 100, 30, nil, binary(t), "flock", "-n", "3", "--profile", "wan", "--dir", dir) // a busy machine keeps the goose
	driver.shows(" is the goose")
	driver.shows("3 voters, 2 are a majority")
	driver.shows("flock kill ")

	// Below a shell with job control, as nearly always.
	socket := filepath.Join(dir, "a.sock")
	shell := `set -m; "$0" top --socket "$1"; echo stopped; read line; echo "read $line."; fg; exit $?`
	top := startConsole(t, 100, 30, nil, "sh", "-c", shell, binary(t), socket)
	top.shows("3 agents, 3 live")
	top.shows("RTT from ")
	top.press("s")
	top.shows("sort: role")
	goose := ""
	apitest.Eventually(t, func() bool { // for a moment there may be none
		goose = top.goose()
		return goose != ""
	}, "a goose")
	top.press("/goose\r")
	top.shows("filter: goose")
	top.press("\r")
	top.shows("this one  " + goose + " at ")
	top.shows("Counters that move")
	top.press("\x1b")
	top.shows("enter look into") // two at once would be one key
	top.press("\x1b")
	apitest.Eventually(t, func() bool { return !strings.Contains(top.text(), "filter: ") }, "all rows")

	// A dead goose, and the next.
	require.Zero(t, call(t, "flock", "kill", goose, "--dir", dir).code)
	top.shows("no answer")
	driver.shows(goose + " was killed")
	for _, c := range []*console{top, driver} {
		apitest.Eventually(t, func() bool {
			now := c.goose()
			return now != "" && now != goose
		}, "another goose")
		c.shows("3 agents, 2 live")
	}
	require.Zero(t, call(t, "flock", "start", goose, "--dir", dir).code)
	top.shows("3 agents, 3 live")

	// A window of another size, as small as can be, and back.
	top.resize(30, 8)
	apitest.Eventually(t, func() bool { return strings.HasPrefix(lines(top.text())[7], "q quit") }, "the keys in the last line")
	top.resize(1, 1)
	apitest.Eventually(t, func() bool { return len(lines(top.text())) == 1 && lines(top.text())[0] != "q" }, "one letter")
	top.resize(140, 30)
	top.shows("LAST MINUTE")
	roundTrips := regexp.MustCompile(`[µm]s[ ·]+[▁▂▃▄▅▆▇█]`)
	apitest.Eventually(t, func() bool { return roundTrips.MatchString(top.text()) }, "round trips of the last minute")
	top.press("?")
	top.shows("▁ below 0.1ms")
	top.press("?")
	top.shows("LAST MINUTE") // which the help covered
	top.resize(100, 30)
	apitest.Eventually(t, func() bool { return !strings.Contains(top.text(), "LAST MINUTE") }, "no column that needs a wider screen")

	// Ctrl-Z gives the terminal to the shell, with nothing in its line, and fg takes it back.
	top.press("\x1a")
	top.shows("stopped")
	top.press("hello\r")
	apitest.Eventually(t, func() bool { return strings.Contains(top.wrote.String(), "read hello.") }, "what was typed")
	apitest.Eventually(t, func() bool { return strings.Count(top.wrote.String(), takes) == 2 }, "it takes the terminal again")
	top.shows("3 agents, 3 live")
	top.press("q")
	require.Zero(t, top.exit())

	driver.press("q")
	driver.shows("Stopping the agents")
	require.Zero(t, driver.exit())
}

func TestTopGivesTheTerminalBackWhenItIsTold(t *testing.T) {
	_, socket := fake(t)
	for what, end := range map[string]func(c *console){
		"Ctrl-C":  func(c *console) { c.press("\x03") },
		"SIGTERM": func(c *console) { require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM)) },
		"SIGHUP":  func(c *console) { require.NoError(t, c.cmd.Process.Signal(syscall.SIGHUP)) },
	} {
		t.Run(what, func(t *testing.T) {
			c := startConsole(t, 80, 24, []string{"NO_COLOR=1"}, binary(t), "top", "--socket", socket)
			c.shows("a is the goose")
			require.NotEqual(t, c.before, lineState(t, c.line), "it is taken")
			require.NotRegexp(t, `\x1b\[([0-9]+;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;[0-9]+)*m`, c.wrote.String(), "a colour in spite of NO_COLOR")
			end(c)
			require.Zero(t, c.exit())
		})
	}
}

func TestTopWithoutATerminalSaysWhatToDo(t *testing.T) {
	agent, socket := fake(t)
	agent.Change(func(s *api.Status) { s.FlockID = "" })
	out := run(t, "top", "--socket", socket)
	require.Equal(t, 2, out.code)
	require.Contains(t, out.stderr, "needs a terminal")
	require.Contains(t, out.stderr, "ddgoose watch")
	require.Empty(t, out.stdout)

	c := startConsole(t, 200, 24, []string{"TERM=dumb"}, binary(t), "top", "--socket", socket)
	c.shows("TERM=dumb")
	require.Equal(t, 2, c.exit())
	require.NotContains(t, c.wrote.String(), "\x1b", "nothing that such a terminal would not understand")
}
