package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"duckduckgoose/agent/config"
	"duckduckgoose/cmd/ddgoose/bench"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem"
)

// benchCodes ends the help of every bench.
const benchCodes = "Exit codes: 0 measured, 1 it failed, or saw two geese, 2 wrong usage."

// benchOptions are the flags of every bench.
type benchOptions struct {
	bench.Options
	json   bool
	report string // a file
}

func newBenchCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a local flock of real agents",
		Long: `Starts a local flock of real processes, measures it, and stops it. All the while it checks by what the
agents answer that there are never two geese.

` + benchCodes,
		Example: "  ddgoose bench failover\n  ddgoose bench steady --for 10m --load 2",
	}
	cmd.AddCommand(newBenchFailoverCommand(env), newBenchHandoffCommand(env), newBenchStartCommand(env), newBenchIdleCommand(env),
		newBenchSteadyCommand(env), newBenchPauseCommand(env), newBenchElectionsCommand(env),
		newBenchAPICommand(env), newBenchScaleCommand(env), newBenchAllCommand(env))
	return cmd
}

func newBenchFailoverCommand(env *environment) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "failover",
		Short: "Kill the goose again and again",
		Long: `Ends the goose again and again, and measures until a majority of all agents names another;
lets geese step down, and measures the time between the old goose's last lease and the next
one's first; and measures what each agent costs while nothing happens: CPU, memory and traffic.

--how says how the goose ends:

  kill   kill -9 of its process: the machine lives on
  stop   kill -STOP, and kill -CONT when another is the goose
  cut    its network is cut in both directions, and healed when another is the goose
  power  kill -9 of its process and all that it started, at once: nothing is left to act for it

` + benchCodes,
		Example: `  ddgoose bench failover
  ddgoose bench failover --kills 20 --profile local --json
  ddgoose bench failover --how cut --loss 20% --delay 5ms --step-downs 0 --idle 0s`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := netem.Parse(o.Rules())
			switch {
			case err != nil:
				return usage("%w", err)
			case o.Kills == 0 && o.StepDowns == 0 && o.Idle == 0:
				return usage("nothing to measure: want --kills, --step-downs or --idle above 0")
			case o.Successor && o.Flock.Agents < 5:
				return usage("agents %d: want 5 or more, for a majority without the goose and its successor", o.Flock.Agents)
			}
			return o.run(cmd, env)
		},
	}
	flags := cmd.Flags()
	choiceFlag(flags, &o.How, "how", bench.Hows[0], "how the goose ends", bench.Hows...)
	wardenFlag(flags, &o.Flock.Warden)
	boolFlag(flags, &o.Successor, "successor", "also end the agent that would be the next goose, at the same moment")
	flagVar(flags, &o.Loss, "loss", "", "P", "the share of all packets that is lost, as 20%", parseLoss)
	durationFlag(flags, &o.Delay, "delay", "", "how long each packet takes, one way")
	numberFlag(flags, &o.Kills, "kills", "100", 100000, "how many geese are killed")
	numberFlag(flags, &o.StepDowns, "step-downs", "20", 100000, "how many geese step down")
	flagVar(flags, &o.Idle, "idle", "30s", "duration", "how long to measure an undisturbed flock; 0s: skip this", timeOf(0, "30s"))
	o.flags(flags)
	return cmd
}

func newBenchHandoffCommand(env *environment) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "handoff",
		Short: "Have geese step down",
		Long: `Has one goose after the other step down, and measures the time between the old goose's last
lease and the next one's first.

` + benchCodes,
		Example: "  ddgoose bench handoff --step-downs 100",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd, env) },
	}
	rangeFlag(cmd.Flags(), &o.StepDowns, "step-downs", "50", 1, 100000, "how many geese step down")
	o.flags(cmd.Flags())
	return cmd
}

func newBenchIdleCommand(env *environment) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "idle",
		Short: "Measure what each agent costs",
		Long: `Leaves a flock alone, and measures what each agent costs meanwhile: CPU, memory and traffic.

` + benchCodes,
		Example: "  ddgoose bench idle --agents 20 --for 1m",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd, env) },
	}
	durationFlag(cmd.Flags(), &o.Idle, "for", "30s", "how long")
	o.flags(cmd.Flags())
	return cmd
}

func newBenchStartCommand(env *environment) *cobra.Command {
	var o benchOptions
	var starts int
	sizes := []int{1, 3, 5, 7}
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start new flocks",
		Long: `Starts new flocks on empty disks, one after the other, and measures from the start of the first
process until a majority of all agents names the same goose.

` + benchCodes,
		Example: "  ddgoose bench start\n  ddgoose bench start --agents 5 --starts 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("agents") {
				sizes = []int{o.Flock.Agents}
			}
			return o.measure(cmd, env, bench.Text, func(ctx context.Context) (bench.Result, error) {
				return bench.Start(ctx, bench.StartOptions{Flock: o.Flock, Sizes: sizes, Starts: starts, Load: o.Load, Seed: o.Seed, Progress: o.Progress})
			})
		},
	}
	rangeFlag(cmd.Flags(), &starts, "starts", "10", 1, 1000, "how many flocks of each size")
	o.flags(cmd.Flags())
	cmd.Flags().Lookup("agents").Usage = fmt.Sprintf("start flocks of this size only, 1 to %d (default 1, 3, 5 and 7)", flock.MaxAgents)
	cmd.Flags().Lookup("agents").DefValue = "0"
	return cmd
}

func newBenchSteadyCommand(env *environment) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "steady",
		Short: "Count changes of the goose that nobody caused",
		Long: `Leaves a flock alone, on a busy machine with --load, and counts changes of the goose. A change
is excused when it came while the bench itself was stalled for more than 100 ms.

` + benchCodes,
		Example: "  ddgoose bench steady --for 10m --load 2",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd, env) },
	}
	durationFlag(cmd.Flags(), &o.Steady, "for", "10m", "how long")
	o.flags(cmd.Flags())
	return cmd
}

func newBenchPauseCommand(env *environment) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Stop the goose for a while and let it go on",
		Long: `Stops the goose (kill -STOP) and lets it go on (kill -CONT), again and again, while every agent
is asked every 3 ms: no two may be the goose at one moment, by the deadlines that they
answer. It also measures how long a majority takes to name another goose.

` + benchCodes,
		Example: "  ddgoose bench pause --pauses 20",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd, env) },
	}
	rangeFlag(cmd.Flags(), &o.Pauses, "pauses", "10", 1, 100000, "how many geese are stopped")
	durationFlag(cmd.Flags(), &o.PauseFor, "for", "3s", "how long each is stopped")
	o.flags(cmd.Flags())
	return cmd
}

func newBenchElectionsCommand(env *environment) *cobra.Command {
	var o benchOptions
	var elections int
	var lasts time.Duration
	cmd := &cobra.Command{
		Use:   "elections",
		Short: "Compare what many elections cost with what one does",
		Long: `Measures what a flock costs while nothing happens with one election, with as many as it has
agents, and with many: datagrams, bytes and CPU of all agents together. The flocks run one after
the other; each is measured when every election has a goose and all voters, and the geese are
spread evenly over the agents. The ratios are shown beside their targets.

That no election has two geese is checked all the time, by every agent's list of its elections: ten
times a second until they have settled, and every 5 s while the costs are measured, which adds 1 to
3 % to the CPU. What ends before the next look is not seen, but for the default election: all that
its agents publish is checked.

` + benchCodes,
		Example: "  ddgoose bench elections\n  ddgoose bench elections --elections 20 --agents 3 --for 10s --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Flock.Agents < 2 || elections <= o.Flock.Agents {
				return usage("elections %d of %d agents: want 2 agents or more, and more elections than agents", elections, o.Flock.Agents)
			}
			return o.measure(cmd, env, bench.Text, func(ctx context.Context) (bench.Result, error) {
				return bench.Elections(ctx, bench.ElectionsOptions{Flock: o.Flock, Elections: elections, For: lasts, Load: o.Load, Seed: o.Seed, Progress: o.Progress})
			})
		},
	}
	numberFlag(cmd.Flags(), &elections, "elections", "100", config.MaxElections+1, "how many elections, the default one counted")
	durationFlag(cmd.Flags(), &lasts, "for", "30s", "how long each flock is measured")
	o.flags(cmd.Flags())
	return cmd
}

func (o *benchOptions) flags(flags *pflag.FlagSet) {
	agentsFlag(flags, &o.Flock.Agents, "5", 1, flock.MaxAgents, "")
	timingFlags(flags, &o.Flock)
	numberFlag(flags, &o.Load, "load", "", 100, "how many busy processes per core run beside the flock")
	o.outputs(flags)
}

// outputs are the flags of all benches.
func (o *benchOptions) outputs(flags *pflag.FlagSet) {
	numberFlag(flags, &o.Seed, "seed", "1", 1<<63, "random seed: when faults happen, and which packets are lost")
	stringFlag(flags, &o.report, "report", "", "FILE", "also write a page with tables and plots")
	jsonFlag(flags, &o.json)
}

// parseLoss reads a share in percent.
func parseLoss(s string) (float64, error) {
	p, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(p, 64)
	if !percent || err != nil || !(n >= 0 && n <= 90) {
		return 0, errors.New("want a share from 0% to 90%")
	}
	return n / 100, nil
}

func (o *benchOptions) run(cmd *cobra.Command, env *environment) error {
	if o.Flock.Agents < 3 && o.Kills+o.StepDowns+o.Pauses > 0 {
		return usage("agents %d: want 3 or more, for another to become the goose", o.Flock.Agents)
	}
	return o.measure(cmd, env, bench.Text, func(ctx context.Context) (bench.Result, error) { return bench.Run(ctx, o.Options) })
}
