package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

type membersOptions struct{ clientOptions }

func newMembersCommand(env *environment) *cobra.Command {
	var o membersOptions
	cmd := &cobra.Command{
		Use:     "members",
		GroupID: groupAsk,
		Short:   "List the agents of the flock",
		Long: `Lists every agent that this one knows: its address, whether it is alive (failed ones
are listed for a day), its role, whether it votes, its priority, round trip time and tags.

` + clientCodes,
		Example: "  ddgoose members\n  ddgoose members --json",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}
	o.flags(cmd, 5*time.Second)
	o.jsonFlag(cmd)
	return cmd
}

func (o *membersOptions) run(ctx context.Context, env *environment) error {
	return o.ask(ctx, func(ctx context.Context, c *client.Client) error {
		ms, err := c.Members(ctx)
		switch {
		case err != nil:
			return err
		case o.json:
			return printJSON(env, api.Members{Members: append([]api.Member{}, ms...)})
		}
		return printMembers(env.stdout, ms)
	})
}

func printMembers(out io.Writer, ms []api.Member) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "Name\tAddress\tState\tRole\tVoter\tPriority\tRTT\tTags")
	for _, m := range ms {
		voter, rtt := "no", "-"
		if m.Voter {
			voter = "yes"
		}
		if m.RTTMS != nil {
			rtt = millis(*m.RTTMS)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n",
			printable(m.Name), m.Addr, m.State, m.Role, voter, m.Priority, rtt, tags(m.Tags))
	}
	return w.Flush()
}

func tags(all map[string]string) string {
	if len(all) == 0 {
		return "-"
	}
	var words []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		words = append(words, printable(k+"="+all[k]))
	}
	return strings.Join(words, ",")
}
