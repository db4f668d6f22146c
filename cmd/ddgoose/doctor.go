package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

type doctorOptions struct {
	clientOptions
	lasts time.Duration
}

func newDoctorCommand(env *environment) *cobra.Command {
	var o doctorOptions
	cmd := o.command(&cobra.Command{
		Use:   "doctor",
		Short: "Examine the flock: could it elect now, and after a death?",
		Long: `Makes all agents measure their paths to all others, in each direction, with the datagrams of elections, and
report their settings. The verdict comes first: could a goose be elected now, and after the death of any one
voter? Then come the problems, each with a remedy: one-way cuts, UDP blocked where TCP is open, loss, MTU, round
trips too long for the lease, clocks that drift apart, agents that do not answer, and settings that do not fit.

An agent that this one cannot reach is asked through another. doctor changes nothing.

Exit codes: 0 healthy, 1 trouble was found, 2 cannot tell (no agent, no answers), or wrong usage.`,
		Example: "  ddgoose doctor\n  ddgoose doctor --for 20s    # clock rates over a slow network\n  ddgoose doctor --json | jq -r '.findings[].text'",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}, time.Minute, o.jsonFlag)
	durationFlag(cmd.Flags(), &o.lasts, "for", api.DoctorFor.String(), fmt.Sprintf("how long to measure, 1s to %v", api.DoctorForMost))
	return cmd
}

func (o *doctorOptions) run(ctx context.Context, env *environment) error {
	if o.lasts < time.Second || o.lasts > api.DoctorForMost {
		return usage("--for %v: want 1s to %v", o.lasts, api.DoctorForMost)
	}
	var found api.Doctor
	err := o.ask(ctx, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.Doctor(ctx, o.lasts)
		return err
	})
	if err != nil {
		return cannotTell(err)
	}
	if o.json {
		err = printJSON(env, found)
	} else {
		err = printDoctor(env.stdout, &found)
	}
	switch {
	case err != nil:
		return err
	case found.Verdict == api.VerdictTrouble:
		return quietly(exitError)
	case found.Verdict != api.VerdictHealthy:
		return quietly(exitUsage)
	}
	return nil
}

func printDoctor(out io.Writer, d *api.Doctor) error {
	fmt.Fprintf(out, "%s: %s\n", strings.ReplaceAll(d.Verdict, "_", " "), api.Printable(d.Summary))
	for _, f := range d.Findings {
		fmt.Fprintf(out, "\n%-8s %s\n", f.Kind, api.Printable(f.Text))
		if f.Remedy != "" {
			fmt.Fprintf(out, "         -> %s\n", api.Printable(f.Remedy))
		}
	}
	printDeaths(out, d)
	printPaths(out, d)
	return printAgents(out, d)
}

func printDeaths(out io.Writer, d *api.Doctor) {
	if len(d.Deaths) == 0 {
		return
	}
	priority := map[string]uint8{}
	for _, v := range d.Config.Voters {
		priority[v.ID] = v.Priority
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "Voter\tPriority\tIf it dies")
	for _, v := range d.Deaths {
		then := "nobody can be elected"
		switch {
		case len(v.Successors) > 0:
			then = api.Printable(strings.Join(v.Successors, ", ")) + " can be elected"
		case v.CanElect != api.No:
			then = "not known: too few have answered"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", api.Printable(v.Name), priority[v.ID], then)
	}
	_ = w.Flush() // the writer keeps its first error
}

// matrixMost is how many agents a terminal has columns for.
const matrixMost = 12

// printPaths draws which agent hears which. For a large flock it lists only the bad paths.
func printPaths(out io.Writer, d *api.Doctor) {
	var names []string
	paths := map[[2]string]*api.Path{}
	for i, p := range d.Paths {
		if !slices.Contains(names, p.From) {
			names = append(names, p.From)
		}
		paths[[2]string{p.From, p.To}] = &d.Paths[i]
	}
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(out, "\nFrom the row to the column: loss, and round trip (measured for %s)\n", millis(d.Measured))
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if len(names) > matrixMost {
		for _, p := range d.Paths {
			if p.Loss == nil || *p.Loss > 0 || p.Stream == api.StreamFailed {
				fmt.Fprintf(w, "%s\t%s\t%s\n", api.Printable(p.From), api.Printable(p.To), cell(&p))
			}
		}
		_ = w.Flush()
		return
	}
	fmt.Fprintln(w, "\t"+strings.Join(names, "\t"))
	for _, from := range names {
		row := []string{from}
		for _, to := range names {
			row = append(row, cell(paths[[2]string{from, to}]))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
}

// cell returns one direction as a short text.
func cell(p *api.Path) string {
	switch {
	case p == nil:
		return "-"
	case p.Loss == nil:
		return "?"
	case *p.Loss == 1 && p.Stream == api.StreamOK:
		return "TCP only"
	case *p.Loss == 1:
		return "cut"
	}
	var words []string
	if *p.Loss > 0 {
		words = append(words, fmt.Sprintf("%.0f%%", 100**p.Loss))
	}
	if p.RTTMS != nil {
		words = append(words, millis(*p.RTTMS))
	}
	if p.Stream == api.StreamFailed {
		words = append(words, "UDP only")
	}
	if p.Stream == api.StreamSmall {
		words = append(words, "small MTU")
	}
	return cmp.Or(strings.Join(words, " "), "ok")
}

func printAgents(out io.Writer, d *api.Doctor) error {
	var worst, unsure float64 // of the rates of two clocks
	for _, c := range d.Clocks {
		worst, unsure = max(worst, math.Abs(c.Faster)), max(unsure, c.Unsure)
	}
	if len(d.Clocks) > 0 {
		fmt.Fprintf(out, "\nClock rates differ by %.3f%% at most (measured to %.3f%%); leases tolerate 1%%\n", worst, unsure)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "Agent\tAddress\tState\tRole\tVoter\tLease\tHost\tVersion")
	for _, a := range d.Agents {
		lease := "-"
		if a.LeaseMS > 0 {
			lease = millis(a.LeaseMS)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", api.Printable(a.Name), cmp.Or(a.Addr, "-"), a.State, api.Printable(cmp.Or(a.Role, "?")), yesNo(a.Voter), lease,
			api.Printable(cmp.Or(a.Host, "?")), api.Printable(cmp.Or(a.Version, "?")))
	}
	return w.Flush()
}
