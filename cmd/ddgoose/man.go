package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// newManCommand returns a command for packagers: make man.
func newManCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Hidden: true,
		Short:  "Write the man pages",
		Long: `Writes a man page of section 1 for every command into the folder. SOURCE_DATE_EPOCH, in seconds,
sets their date; the default is today.

Exit codes: 0 done, 1 it cannot be written, 2 wrong usage.`,
		Example: "  ddgoose man /usr/local/share/man/man1",
		Args:    oneArgument("a folder", "/usr/local/share/man/man1"),
		RunE:    func(cmd *cobra.Command, args []string) error { return writeMan(env, cmd.Root(), args[0]) },
	}
}

func writeMan(env *environment, root *cobra.Command, dir string) error {
	date := time.Now()
	if word, _ := env.lookup("SOURCE_DATE_EPOCH"); word != "" {
		seconds, err := strconv.ParseInt(word, 10, 64)
		if err != nil || seconds < 0 {
			return usage("SOURCE_DATE_EPOCH %q: want seconds since 1970, as 1700000000", word)
		}
		date = time.Unix(seconds, 0).UTC()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the man pages: %w", err)
	}
	forMan(root)
	header := &doc.GenManHeader{Section: "1", Source: "ddgoose " + env.version, Manual: "DuckDuckGoose", Date: &date}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("write the man pages: %w", err)
	}
	return nil
}

// forMan adds the list of subcommands to a page, and escapes what the page's generator,
// which reads Markdown, would take for markup.
func forMan(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true // the date is in the page's foot
	long := cmd.Long
	if list := commandList(cmd); list != "" {
		long += "\n\nCommands, each with a page of its own:\n\n" + list
	}
	cmd.Short, cmd.Long = plain(cmd.Short), plain(long)
	cmd.InitDefaultHelpFlag()
	cmd.Flags().VisitAll(flagForMan)
	for _, c := range cmd.Commands() {
		forMan(c)
	}
}

// flagForMan has the page show what a flag takes, where its generator shows the
// default; that goes behind the text, as in --help.
func flagForMan(f *pflag.Flag) {
	takes, usage := pflag.UnquoteUsage(f)
	if f.NoOptDefVal != "" {
		takes = "true|false"
	} else if d := f.DefValue; d != "" && d != "0" && d != "0s" && d != "[]" {
		usage += " (default " + d + ")"
	}
	f.Usage, f.DefValue, f.Value = markup.Replace(usage), markup.Replace(takes), placeholder{f.Value}
}

// placeholder is a flag whose default is no string to be quoted.
type placeholder struct{ pflag.Value }

func (placeholder) Type() string { return "placeholder" }

func commandList(cmd *cobra.Command) string {
	var list strings.Builder
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			fmt.Fprintf(&list, "    %-*s  %s\n", cmd.NamePadding(), c.Name(), c.Short)
		}
	}
	return list.String()
}

// plain is a text as Markdown. A paragraph with a line that stands in is laid
// out by hand, and stays as it is.
func plain(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if strings.HasPrefix(p, " ") || strings.Contains(p, "\n ") {
			paragraphs[i] = "    " + strings.ReplaceAll(p, "\n", "\n    ")
		} else {
			paragraphs[i] = markup.Replace(p)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

var markup = strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`, ">", `\>`, "`", "\\`", "[", `\[`, "|", `\|`)
