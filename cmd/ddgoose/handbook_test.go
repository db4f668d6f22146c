package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// TestHandbooksNameCommandsAndFlagsThatExist looks up every command line of ours in the code of the handbooks.
func TestHandbooksNameCommandsAndFlagsThatExist(t *testing.T) {
	code := regexp.MustCompile("(?ms)^```.*?\n(.*?)^```$")
	ours := regexp.MustCompile(`(?m)(?:^|[ /(])ddgoose ([a-z-]+(?:[ )].*)?)$`)
	seen := 0
	for _, file := range []string{"../../README.md", "README.md", "../../netem/README.md", "../../CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.FromSlash(file))
		require.NoError(t, err)
		for _, block := range code.FindAllSubmatch(text, -1) {
			for _, m := range ours.FindAllStringSubmatch(strings.ReplaceAll(string(block[1]), "\\\n", " "), -1) {
				seen++
				words := strings.Fields(m[1])
				root := newRootCommand(&environment{stdout: &checkedWriter{w: io.Discard}, stderr: io.Discard, lookup: os.LookupEnv})
				cmd, _, err := root.Find(words[:min(2, len(words))])
				require.NoError(t, err, "%s: %s", file, m[0])
				require.True(t, cmd.HasParent(), "%s: %s", file, m[0])
				for _, word := range words {
					if strings.Contains(" -- | || & > ", " "+word+" ") {
						break
					}
					if name, is := strings.CutPrefix(word, "--"); is {
						name, _, _ = strings.Cut(strings.TrimRight(name, `"')`), "=")
						require.NotNil(t, cmd.Flag(name), "%s: %s: no flag --%s", file, m[0], name)
					}
				}
			}
		}
	}
	require.Greater(t, seen, 60)
}

// TestHandbookHasEveryCommandAndFlag holds the handbook's tables against the commands, and the agent's flags.
func TestHandbookHasEveryCommandAndFlag(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	eachCommand(func(cmd *cobra.Command) {
		if cmd.Parent() == nil || cmd.Parent().HasParent() || cmd.Hidden || cmd.Name() == "help" {
			return
		}
		require.Regexp(t, "(?m)^\\|.*`"+cmd.Name()+"\\b.* \\|", string(text), "%s is in no table", cmd.CommandPath())
		if cmd.Name() == "agent" {
			cmd.Flags().VisitAll(func(f *pflag.Flag) {
				require.Regexp(t, "(?m)^\\|.*`--"+f.Name+"\\b", string(text), "--%s is in no table", f.Name)
			})
		}
	})
}
