package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

func newWhyCommand(env *environment) *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "why",
		Short: "Explain why this agent is goose or duck, or why there is no goose",
		Long: `Explains the role of one agent: which promises make it the goose, or which goose it follows and why
it does not lead itself. If the agent knows no goose, the command lists what is missing for a majority:
voters that do not answer, promises that still run, voters that have just restarted, and work that
runs past its lease. Each reason comes with what to do about it.

The command shows what one agent knows. ddgoose doctor asks and measures the whole flock.

` + clientCodes,
		Example: "  ddgoose why\n  ddgoose why --election nightly-backup\n  ddgoose why --socket a --json | jq -r '.reasons[].text'",
		RunE:    func(_ *cobra.Command, _ []string) error { return show(env, &o, (*client.Client).Why, printWhy) },
	}, 10*time.Second, o.electionFlag, o.jsonFlag)
}

// printWhy writes an explanation for a person: the summary first, each reason
// with what to do about it, then the voters.
func printWhy(out io.Writer, w api.Why) error {
	fmt.Fprintln(out, api.Printable(w.Summary))
	for _, r := range w.Reasons {
		fmt.Fprintf(out, "  - %s\n", api.Printable(r.Text))
		if r.Remedy != "" {
			fmt.Fprintf(out, "    > %s\n", api.Printable(r.Remedy))
		}
	}
	if len(w.Voters) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nVoters (%d of %d are a majority, %d reachable):\n", w.Needed, len(w.Voters), w.Reachable)
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "  Voter\tPriority\tState\tCounts\tHeard\tPromised\tAnswer")
	for _, v := range w.Voters {
		heard := "never"
		switch {
		case v.Name == w.Name:
			heard = "this one"
		case v.Heard != nil:
			heard = millis(*v.Heard) + " ago"
		}
		fmt.Fprintf(table, "  %s\t%d\t%s\t%s\t%s\t%s\t%s\n", api.Printable(v.Name), v.Priority, cmp.Or(api.Printable(v.State), "?"), yesNo(v.Counts), heard, promised(&v), cmp.Or(api.Printable(v.Answer), "-"))
	}
	return table.Flush()
}

// promised returns how long a voter's promise, or its wait after a restart, still lasts.
func promised(v *api.WhyVoter) string {
	switch {
	case v.Restarted != nil && *v.Restarted > 0:
		return "waits " + millis(*v.Restarted)
	case v.Promised == nil:
		return "?"
	case *v.Promised == 0:
		return "-"
	}
	return fmt.Sprintf("%s, %s", api.Printable(cmp.Or(v.PromisedTo, "?")), millis(*v.Promised))
}
