package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

func newHistoryCommand(env *environment) *cobra.Command {
	var o clientOptions
	var since time.Duration
	cmd := o.command(&cobra.Command{
		Use:   "history",
		Short: "Show who was the goose, when, and why it changed",
		Long: `Lists the last 1,000 goose periods that one agent saw or was told of, the newest first, and the times without a
goose between them. Every agent learns from the former goose why its period ended:

    lease-lost   no majority of the voters answered within a lease
    step-down    somebody asked for it, or the agent was stopped
    preempted    an agent of higher priority took over
    unwell       the check of its work failed
    no-work      work waited beside another agent, and none beside the goose
    left         the agent left the flock
    died         the process or its machine ended
    recovered    ddgoose recover, after a majority was lost
    unknown      nobody has told yet

Times are this agent's own where it saw the change, else those of the agent that told it. The history is kept in
the data directory. It may be deleted without harm.

` + clientCodes,
		Example: "  ddgoose history\n  ddgoose history --since 24h\n  ddgoose history --json | jq -r '.periods[] | [.token, .name, .ended] | @tsv'",
		RunE: func(*cobra.Command, []string) error {
			return show(env, &o, func(c *client.Client, ctx context.Context) (api.History, error) {
				h, err := c.History(ctx)
				return lately(h, since, time.Now()), err
			}, printHistory)
		},
	}, 5*time.Second, o.electionFlag, o.jsonFlag)
	durationFlag(cmd.Flags(), &since, "since", "", "only what went on in this time before now, as 24h (default all)")
	return cmd
}

// lately leaves out periods that ended earlier than since before now; 0: it keeps all.
func lately(h api.History, since time.Duration, now time.Time) api.History {
	if since == 0 {
		return h
	}
	first := api.Time(now.Add(-since).UnixMilli())
	over := func(to *api.Time) bool { return to != nil && *to < first }
	h.Periods = slices.DeleteFunc(h.Periods, func(p api.Period) bool { return over(p.To) })
	h.Gaps = slices.DeleteFunc(h.Gaps, func(g api.Gap) bool { return over(g.To) })
	return h
}

// printHistory lists periods and the gaps between them, the newest first.
func printHistory(out io.Writer, h api.History) error {
	type row struct {
		from api.Time
		to   *api.Time
		what string
	}
	var rows []row
	for _, p := range h.Periods {
		what := fmt.Sprintf("%s\t%d\t%s", api.Printable(p.Name), p.Token, p.Ended)
		if p.Reason != "" {
			what += ": " + api.Printable(p.Reason)
		}
		rows = append(rows, row{p.From, p.To, what})
	}
	for _, g := range h.Gaps {
		rows = append(rows, row{g.From, g.To, "no goose\t\t"})
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(b.from, a.from) })
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "From\tFor\tGoose\tToken\tEnded")
	for _, r := range rows {
		lasted := "until now"
		if r.to != nil {
			lasted = millis(float64(*r.to - r.from))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.from.Wall().Local().Format("2006-01-02 15:04:05.000"), lasted, r.what)
	}
	return w.Flush()
}
