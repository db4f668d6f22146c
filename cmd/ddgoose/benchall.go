package main

import (
	"context"

	"github.com/spf13/cobra"

	"duckduckgoose/cmd/ddgoose/bench"
)

func newBenchAllCommand(env *environment) *cobra.Command {
	var o benchOptions
	var quick bool
	cmd := &cobra.Command{
		Use:   "all",
		Short: "Measure everything, as a table in Markdown",
		Long: `Measures starts, failover, hand-over, idle cost, answers, watchers, many agents and many elections
one after the other, and prints two tables in Markdown with the machine and the date. It takes about
20 minutes, and with --quick 3.

` + benchCodes,
		Example: "  ddgoose bench all --quick > speed.md",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Flock.Agents < 3 {
				return usage("agents %d: want 3 or more, for another to become the goose", o.Flock.Agents)
			}
			return o.measure(cmd, env, bench.Markdown, func(ctx context.Context) (bench.Result, error) {
				return bench.All(ctx, bench.AllOptions{
					Flock: o.Flock, Agent: timing(&o.Flock),
					Quick: quick, Load: o.Load, Seed: o.Seed, Progress: o.Progress,
				}, env.version)
			})
		},
	}
	boolFlag(cmd.Flags(), &quick, "quick", "fewer and shorter measurements")
	o.flags(cmd.Flags())
	return cmd
}
