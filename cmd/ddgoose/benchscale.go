package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"duckduckgoose/cmd/ddgoose/bench"
)

func newBenchScaleCommand(env *environment) *cobra.Command {
	var o benchOptions
	var b bench.ScaleOptions
	var network string
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "Compare small flocks with large ones",
		Long: `Runs flocks of many agents in this process, one after the other, with disks in memory and over a
network in memory or over loopback. It measures how long they take to join, what each agent costs
while nothing happens, and how long it takes after the death of the goose until 99 % of the others
know another. The CPU and memory are this process's, divided by the agents.

` + benchCodes,
		Example: "  ddgoose bench scale\n  ddgoose bench scale --sizes 500 --network loopback --wait 5m",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkTiming(&o.Flock); err != nil {
				return err
			}
			b.Agent, b.Loopback = timing(&o.Flock), network == "loopback"
			return o.tell(cmd, env, bench.Text, func(ctx context.Context) (bench.Result, error) {
				b.Seed, b.Progress = o.Seed, o.Progress
				return bench.Scale(ctx, b)
			})
		},
	}
	flags := cmd.Flags()
	flagVar(flags, &b.Sizes, "sizes", "5,50,200", "N,...", fmt.Sprintf("agents of each flock, 3 to %d", maxScale), scaleSizes)
	choiceFlag(flags, &network, "network", "memory", "network between the agents", "memory", "loopback")
	durationFlag(flags, &b.For, "for", "10s", "how long to measure the undisturbed flock")
	numberFlag(flags, &b.Deaths, "deaths", "3", 1000, "how many geese die in each flock")
	durationFlag(flags, &b.Wait, "wait", bench.ScaleWait.String(), "give up when all agents take longer than this to agree")
	timingFlags(flags, &o.Flock)
	o.outputs(flags)
	return cmd
}

// maxScale is how many agents one process may have.
const maxScale = 5000

func scaleSizes(s string) ([]int, error) {
	sizes, err := numbersTo(maxScale)(s)
	for _, n := range sizes {
		if n < 3 {
			err = errors.New("want 3 or more agents, for another to become the goose")
		}
	}
	return sizes, err
}
