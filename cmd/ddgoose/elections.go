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
	cmd := &cobra.Command{
		Use:   "elections",
		Short: "List the elections of the flock, and their geese",
		Long: `Lists the elections of the flock as one agent knows them: the default one, which every flock has,
and those that agents were started with (ddgoose agent --election). Each has a goose, terms and
tokens of its own. An agent that does not contest an election votes in it; it is its goose, if ever, only until
one that contests it can be, and hands nothing out to work for it.

` + clientCodes,
		Example: "  ddgoose elections\n  ddgoose elections --json | jq -r '.elections[] | select(.role == \"goose\").name'",
		RunE: func(*cobra.Command, []string) error {
			return show(env, &o, func(c *client.Client, ctx context.Context) (api.Elections, error) {
				all, err := c.Elections(ctx)
				return api.Elections{Elections: all}, err
			}, printElections)
		},
	}
	o.flags(cmd, 5*time.Second)
	o.jsonFlag(cmd)
	return cmd
}

func printElections(out io.Writer, all api.Elections) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "Election\tGoose\tTerm\tToken\tThis agent\tContests")
	for _, e := range all.Elections {
		goose := "none"
		if e.Goose != nil {
			goose = printable(e.Goose.Name)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", cmp.Or(printable(e.Name), "(default)"), goose, e.Term, e.Token, e.Role, yesNo(e.Contested))
	}
	return w.Flush()
}

// electionFlag adds --election to a command that flags has given --socket.
func (o *clientOptions) electionFlag() { electionFlag(o.cmd, &o.election, &o.socket) }

// electionFlag adds --election, which a shell completes from the agent at socket.
func electionFlag(cmd *cobra.Command, to, socket *string) {
	const name = "election"
	flagVar(cmd.Flags(), to, name, "", "NAME", "one of the flock's elections (ddgoose elections lists them; default the one without a name)", parseElection)
	err := cmd.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return completeElection(cmd.Context(), *socket)
	})
	if err != nil {
		panic(err) // the flag is there, and completed by nobody else
	}
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

// completeWait bounds how long a shell waits for its list.
const completeWait = time.Second

// completeElection lists elections for a shell; none when no agent tells.
func completeElection(ctx context.Context, socket string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
	path, err := client.FindSocket(socket)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(ctx, completeWait)
	defer cancel()
	all, err := client.New(path).Elections(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, e := range all {
		switch {
		case e.Name == "": // the default one is meant without the flag
		case e.Goose == nil:
			list = append(list, cobra.CompletionWithDesc(e.Name, "no goose"))
		default:
			list = append(list, cobra.CompletionWithDesc(e.Name, "goose "+printable(e.Goose.Name)))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
