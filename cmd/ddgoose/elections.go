package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/config"
)

func newElectionsCommand(env *environment) *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "elections",
		Short: "List the elections of the flock, and their geese",
		Long: `Lists the elections of the flock as one agent knows them: the default one, which every flock has,
and those of ddgoose agent --election. Each has its own goose, terms and tokens. An agent without an
election's name only votes in it. If no agent with the name can be the goose, it may be the goose for a while; no work
runs beside it then.

` + clientCodes,
		Example: "  ddgoose elections\n  ddgoose elections --json | jq -r '.elections[] | select(.role == \"goose\").name'",
		RunE: func(*cobra.Command, []string) error {
			return show(env, &o, func(c *client.Client, ctx context.Context) (api.Elections, error) {
				all, err := c.Elections(ctx)
				return api.Elections{Elections: all}, err
			}, printElections)
		},
	}, 5*time.Second, o.jsonFlag)
}

func printElections(out io.Writer, all api.Elections) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "Election\tGoose\tTerm\tToken\tThis agent\tContests")
	for _, e := range all.Elections {
		goose := "none"
		if e.Goose != nil {
			goose = api.Printable(e.Goose.Name)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", cmp.Or(api.Printable(e.Name), "(default)"), goose, e.Term, e.Token, e.Role, yesNo(e.Contested))
	}
	return w.Flush()
}

// electionFlag adds --election to a command that flags has given --socket.
func (o *clientOptions) electionFlag(cmd *cobra.Command) { electionFlag(cmd, &o.election) }

// electionFlag adds --election.
func electionFlag(cmd *cobra.Command, to *string) {
	flagVar(cmd.Flags(), to, "election", "", "NAME", "a named election of the flock (ddgoose elections lists them; default the election without a name)", parseElection)
	completeFlag(cmd, "election", fromAgent(electionNames))
}

// electionListFlag adds --election where several may be named.
func electionListFlag(flags *pflag.FlagSet, to *[]string, help string) {
	flags.Var(&listFlag{kind: "NAME,...", add: func(word string) error {
		for _, name := range strings.Split(word, ",") {
			name = strings.TrimSpace(name)
			switch {
			case !api.ValidElection(name):
				return fmt.Errorf("election %q: %s", name, api.ElectionForm)
			case slices.Contains(*to, name):
				return fmt.Errorf("election %q is named twice: want each once", name)
			case len(*to) == config.MaxElections:
				return fmt.Errorf("election %q is one too many: want %d at the most", name, config.MaxElections)
			}
			*to = append(*to, name)
		}
		return nil
	}}, "election", help)
}

func parseElection(s string) (string, error) {
	if !api.ValidElection(s) {
		return "", fmt.Errorf("%s", api.ElectionForm)
	}
	return s, nil
}
