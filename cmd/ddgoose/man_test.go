package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestEveryCommandHasAManPageWithItsFlags(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir := filepath.Join(t.TempDir(), "man1")
	require.Equal(t, outcome{}, run(t, "man", dir))
	pages := map[string]bool{}
	eachCommand(func(cmd *cobra.Command) {
		if cmd.HasParent() && !cmd.IsAvailableCommand() {
			return
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		pages[name] = true
		page := readPage(t, dir, name)
		require.Contains(t, page, `"Nov 2023" "ddgoose unknown" "DuckDuckGoose"`, name)
		require.Contains(t, page, "Exit code", name)
		cmd.Flags().VisitAll(func(f *pflag.Flag) { require.Contains(t, page, "--"+f.Name, name) })
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				require.Contains(t, page, "\n    "+c.Name()+" ", name)
			}
		}
	})
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, len(pages), "none of a hidden command")
}

func TestManPageSaysWhatHelpSays(t *testing.T) {
	dir := t.TempDir()
	require.Equal(t, outcome{}, run(t, "man", dir))
	require.Contains(t, readPage(t, dir, "ddgoose-agent.1"), "DDGOOSE_DATA_DIR for")
	require.Contains(t, readPage(t, dir, "ddgoose-netem.1"),
		"RULES := RULE (';' RULE)*\nRULE  := [out|in|both] PEER(,PEER)*: FAULT (' ' FAULT)*     PEER := * | name | address\n")
	require.Contains(t, readPage(t, dir, "ddgoose-wait.1"), `"voters>=3": there are 3 or more`)
	for page, option := range map[string]string{
		"ddgoose-status.1":  "--socket=PATH|NAME\n",
		"ddgoose-members.1": "--tag=K[=RE]\n",
		"ddgoose-run.1":     "--grace=duration\n\thow long CMD may take to end after SIGTERM, when the end is planned (default 5s)\n",
	} {
		require.Contains(t, readPage(t, dir, page), option)
	}
}

// readPage returns a page as its reader sees it, but for line breaks.
func readPage(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return strings.NewReplacer(`\-`, "-", `\[la]`, "<", `\[ra]`, ">", `\&`, "", `\fB`, "", `\fP`, "", `\fI`, "", `\fR`, "").Replace(string(text))
}

func TestManRefusesADateThatIsNone(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: SOURCE_DATE_EPOCH \"yesterday\": want seconds since 1970, as 1700000000\n"}, run(t, "man", t.TempDir()))
	require.Equal(t, 2, run(t, "man").code)
	t.Setenv("SOURCE_DATE_EPOCH", "")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	got := run(t, "man", file)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "write the man pages: ")
}
