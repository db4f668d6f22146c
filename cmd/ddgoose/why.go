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
	cmd := &cobra.Command{
		Use:   "why",
		Short: "Explain why this agent is goose or duck, or why there is no goose",
		Long: `Explains the role of one agent: whose promises make it the goose, or whom it follows and why
it does not lead. Where it knows no goose, it says what is missing to a majority: which voters cannot
be reached and when they were last heard, who has promised whom to elect nobody else and for how
much longer, who has just restarted and waits, and whose work goes on past its lease. What can be
done about it follows each reason. An agent whose loop hangs tells that.

It shows the flock as this agent sees it; ddgoose doctor asks and measures all of it.

` + clientCodes,
		Example: "  ddgoose why\n  ddgoose why --socket a --json | jq -r '.reasons[].text'",
		RunE:    func(_ *cobra.Command, _ []string) error { return show(env, &o, (*client.Client).Why, printWhy) },
	}
	o.flags(cmd, 10*time.Second)
	o.jsonFlag(cmd)
	return cmd
}

// printWhy writes an explanation for a person: the summary first, each reason
// with what to do about it, then the voters.
func printWhy(out io.Writer, w api.Why) error {
	fmt.Fprintln(out, printable(w.Summary))
	for _, r := range w.Reasons {
		fmt.Fprintf(out, "  - %s\n", printable(r.Text))
		if r.Remedy != "" {
			fmt.Fprintf(out, "    > %s\n", printable(r.Remedy))
		}
	}
	if len(w.Voters) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nVoters (%d of %d are a majority, %d can be counted on):\n", w.Needed, len(w.Voters), w.Reachable)
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
		fmt.Fprintf(table, "  %s\t%d\t%s\t%s\t%s\t%s\t%s\n", printable(v.Name), v.Priority, cmp.Or(printable(v.State), "?"), yesNo(v.Counts), heard, promised(&v), cmp.Or(printable(v.Answer), "-"))
	}
	return table.Flush()
}

// promised is what a voter's promise or its wait after a restart leaves open.
func promised(v *api.WhyVoter) string {
	switch {
	case v.Restarted != nil && *v.Restarted > 0:
		return "waits " + millis(*v.Restarted)
	case v.Promised == nil:
		return "?"
	case *v.Promised == 0:
		return "-"
	}
	return fmt.Sprintf("%s, %s", printable(cmp.Or(v.PromisedTo, "?")), millis(*v.Promised))
}
