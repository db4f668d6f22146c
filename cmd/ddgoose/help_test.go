package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestHelpIsAsReviewed(t *testing.T) {
	for file, args := range map[string][]string{
		"help-root.txt":   {"--help"},
		"help-agent.txt":  {"agent", "--help"},
		"help-status.txt": {"status", "--help"},
		"help-vip.txt":    {"vip", "--help"},
	} {
		got := run(t, args...)
		require.Zero(t, got.code)
		require.Empty(t, got.stderr)
		path := filepath.Join("testdata", file)
		if *rewrite {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(path, []byte(got.stdout), 0o644))
			continue
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), got.stdout, "run with -rewrite and read the diff")
	}
}

// eachCommand visits every command of ours, with its path.
func eachCommand(visit func(*cobra.Command)) {
	env := &environment{stdout: &checkedWriter{w: io.Discard}, stderr: io.Discard, lookup: os.LookupEnv}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		visit(cmd)
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRootCommand(env))
}

func TestEveryCommandTellsItsExitCodesAndAnExample(t *testing.T) {
	seen := 0
	eachCommand(func(cmd *cobra.Command) {
		seen++
		require.Regexp(t, regexp.MustCompile(`\n\nExit codes?: (?s:.)*\.$`), cmd.Long, cmd.CommandPath())
		require.Contains(t, cmd.Example, "ddgoose", cmd.CommandPath())
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		require.NotNil(t, cmd.Args, cmd.CommandPath())
		require.NotNil(t, cmd.RunE, cmd.CommandPath())
		require.True(t, !cmd.HasParent() || cmd.PersistentPreRun == nil && cmd.PersistentPreRunE == nil, "%s replaces what the root does first", cmd.CommandPath())
	})
	require.Greater(t, seen, 20)
}

// cron looks for programs in /usr/bin and /bin only.
func TestCrontabLinesOfHelpNameTheProgramByItsPath(t *testing.T) {
	lines := 0
	eachCommand(func(cmd *cobra.Command) {
		for _, line := range regexp.MustCompile(`(?m)^ *[0-9*]+ [0-9*]+ \* \* \* .*`).FindAllString(cmd.Long+"\n"+cmd.Example, -1) {
			lines++
			require.Contains(t, line, " * /usr/local/bin/ddgoose ", cmd.CommandPath())
		}
	})
	require.Equal(t, 2, lines)
}

func TestHelpCommandFindsCommandsAndRefusesOthers(t *testing.T) {
	got := run(t, "help", "netem", "set")
	require.Zero(t, got.code)
	require.Contains(t, got.stdout, "ddgoose netem set RULES")
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: ddgoose has no command \"statsu\": did you mean status?\n"}, run(t, "help", "statsu"))
	require.Equal(t, 2, run(t, "help", "netem", "bogus").code)
}

func TestCompletionIsAScriptOfEachShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		got := run(t, "completion", shell)
		require.Zero(t, got.code, shell)
		require.Contains(t, got.stdout, "__complete", shell)
	}
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: shell \"tcsh\": want one of bash, zsh, fish, powershell\n"}, run(t, "completion", "tcsh"))
	got := run(t, "__complete", "netem", "s")
	require.Zero(t, got.code)
	require.Contains(t, got.stdout, "set\tReplace the fault rules\n")
}
