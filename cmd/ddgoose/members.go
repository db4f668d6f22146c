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

type membersOptions struct {
	clientOptions
	filter memberFilter
	watch  bool
}

func newMembersCommand(env *environment) *cobra.Command {
	var o membersOptions
	cmd := &cobra.Command{
		Use:   "members",
		Short: "List the agents of the flock",
		Long: `Lists every agent that this one knows: its address, whether it is alive (failed ones
are listed for a day), its role, whether it votes, its priority, round trip time and tags.

The filters are regular expressions that the whole of a name, state, role or tag's value must
match; a member is listed that passes them all. An empty list is an answer: exit 0.

With --watch the list is shown again at every change but of round trip times: redrawn in place on
a terminal, printed below the time elsewhere, with --json one document a line. --timeout is for
the first one only.

Exit codes: 0 done, 1 the agent failed (with --watch: it went away), 2 wrong usage, no agent, or no
answer within --timeout.`,
		Example: "  ddgoose members\n  ddgoose members --state alive --tag 'rack=7|8' --voters\n  ddgoose members --watch --json | jq --unbuffered -c '.members[].name'",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}
	o.flags(cmd, 5*time.Second)
	o.filter.flags(cmd.Flags())
	boolFlag(cmd.Flags(), &o.watch, "watch", "show them again at every change, until the agent goes")
	o.jsonFlag(cmd)
	return cmd
}

func (o *membersOptions) run(ctx context.Context, env *environment) error {
	if o.watch {
		return o.watchMembers(ctx, env)
	}
	return show(env, &o.clientOptions, func(c *client.Client, ctx context.Context) (api.Members, error) {
		ms, err := c.Members(ctx)
		return api.Members{Members: o.filter.of(ms)}, err
	}, printMembers)
}

func printMembers(out io.Writer, ms api.Members) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "Name\tAddress\tState\tRole\tVoter\tPriority\tRTT\tTags")
	for _, m := range ms.Members {
		rtt := "-"
		if m.RTTMS != nil {
			rtt = millis(*m.RTTMS)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n",
			printable(m.Name), m.Addr, m.State, m.Role, yesNo(m.Voter), m.Priority, rtt, tags(m.Tags))
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
