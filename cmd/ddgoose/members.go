package main

import (
	"cmp"
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
	wide   bool
}

func newMembersCommand(env *environment) *cobra.Command {
	var o membersOptions
	cmd := o.command(&cobra.Command{
		Use:   "members",
		Short: "List the agents of the flock",
		Long: `Lists every agent that this one knows: its address, whether it is alive (failed ones
are listed for a day), its role, whether it votes, its priority, whether work for the default
election's goose runs or waits there and what its check says, round trip time, the version of its program
and tags. -o wide adds the id, and the tag zone a column of its own.

The filters are regular expressions that the whole of a name, state, role or tag's value must
match; a member is listed if it matches all of them.
If none does, a warning says so, and the exit code is 0.

--watch shows the list again at every change, except changes of round trip times. A terminal is redrawn in
place; elsewhere each list follows below the last one, after the time; --json prints one document a line.
--timeout is for the first list only.

Exit codes: 0 done, 1 the agent failed (with --watch: it stopped), 2 wrong usage, no agent, or no
answer within --timeout.`,
		Example: "  ddgoose members\n  ddgoose members --state alive --tag 'rack=7|8' --voters\n  ddgoose members --watch --json | jq --unbuffered -c '.members[].name'",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}, 5*time.Second)
	jsonFlag(cmd.Flags(), &o.json, &outputChoice{"wide", &o.wide})
	o.filter.flags(cmd.Flags())
	completeFlag(cmd, "name", memberNames(func(api.Member) bool { return true }))
	completeFlag(cmd, "tag", fromAgent(memberTags))
	boolFlag(cmd.Flags(), &o.watch, "watch", "show them again at every change, until the agent stops")
	return cmd
}

func (o *membersOptions) run(ctx context.Context, env *environment) error {
	if o.watch {
		return o.watchMembers(ctx, env)
	}
	return show(env, &o.clientOptions, func(c *client.Client, ctx context.Context) (api.Members, error) {
		ms, err := c.Members(ctx)
		chosen := o.filter.of(ms)
		if err == nil && len(chosen) == 0 && len(ms) > 0 {
			fmt.Fprintf(env.stderr, "ddgoose: warning: none of the %d members matches the filters\n", len(ms))
		}
		return api.Members{Members: chosen}, err
	}, o.print)
}

func (o *membersOptions) print(out io.Writer, ms api.Members) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	more := ""
	if o.wide {
		more = "Zone\tID\t"
	}
	fmt.Fprintln(w, "Name\tAddress\tState\tRole\tVoter\tPriority\tWork\tRTT\tVersion\t"+more+"Tags")
	for _, m := range ms.Members {
		rtt := "-"
		if m.RTTMS != nil {
			rtt = millis(*m.RTTMS)
		}
		if o.wide {
			more = cmp.Or(api.Printable(m.Tags["zone"]), "-") + "\t" + m.ID + "\t"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s%s\n",
			api.Printable(m.Name), m.Addr, m.State, m.Role, yesNo(m.Voter), m.Priority, work(m.Work, m.Well), rtt,
			cmp.Or(api.Printable(m.Version), "-"), more, tags(m.Tags))
	}
	return w.Flush()
}

// work reports whether somebody acts for the goose, or waits to, and what the check says.
func work(has bool, well *bool) string {
	word := yesNo(has)
	switch {
	case well == nil:
		return word
	case *well:
		return word + ", well"
	}
	return word + ", unwell"
}

func tags(all map[string]string) string {
	if len(all) == 0 {
		return "-"
	}
	var words []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		words = append(words, api.Printable(k+"="+all[k]))
	}
	return strings.Join(words, ",")
}
