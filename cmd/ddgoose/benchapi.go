package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"duckduckgoose/cmd/ddgoose/bench"
)

func newBenchAPICommand(env *environment) *cobra.Command {
	var o benchOptions
	var b bench.APIOptions
	cmd := &cobra.Command{
		Use:   "api",
		Short: "Ask and watch one agent",
		Long: `Asks one duck of a flock as fast as it answers, with a connection for each request and with kept
ones. Then has many watch it while geese step down, and measures how long it takes from the first
watcher that hears of the new goose until all have.

` + benchCodes,
		Example: "  ddgoose bench api\n  ddgoose bench api --clients 1 --watchers 1000 --changes 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Flock.Agents < 3 {
				return usage("agents %d: want 3 or more, for another to become the goose", o.Flock.Agents)
			}
			return o.measure(cmd, env, bench.Text, func(ctx context.Context) (bench.Result, error) {
				b.Flock, b.Load, b.Seed, b.Progress = o.Flock, o.Load, o.Seed, o.Progress
				return bench.API(ctx, b)
			})
		},
	}
	flags := cmd.Flags()
	rangeFlag(flags, &b.Clients, "clients", fmt.Sprint(bench.APIClients), 1, 500, "clients that ask at the same time")
	durationFlag(flags, &b.For, "for", "5s", "how long each kind of request is sent")
	flagVar(flags, &b.Watchers, "watchers", "1,10,100,1000", "N,...", "numbers of watchers to try, one after the other; 1 to 1000", numbersTo(1000))
	rangeFlag(flags, &b.Changes, "changes", "5", 1, 1000, "how many geese step down for each number of watchers")
	o.flags(flags)
	return cmd
}

// numbersTo reads a list of numbers from 1 to most.
func numbersTo(most int) func(string) ([]int, error) {
	return func(s string) (all []int, err error) {
		for word := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(word)
			if err != nil || n < 1 || n > most {
				return nil, fmt.Errorf("want numbers from 1 to %d with commas between", most)
			}
			all = append(all, n)
		}
		return all, nil
	}
}
