package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent"
	"duckduckgoose/netem/check"
	"duckduckgoose/netem/schedule"
	"duckduckgoose/netem/sim"
)

var simExits = map[sim.Class]int{
	sim.Kept: exitDone, sim.Safety: exitUnsafe, sim.Liveness: exitUnalive, sim.Crashed: exitCrashed,
}

type simOptions struct {
	schedule.Plan
	seed       uint64
	seeds      int
	profile    string
	only       string
	scenario   string
	list, json bool
}

func newSimCommand(env *environment) *cobra.Command {
	var o simOptions
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Try a flock, its timing and its promises in virtual time",
		Long: `Runs the agents' own code in virtual time, on a simulated network with simulated disks and clocks,
and injects faults as a seed says. An hour takes about a second. The promises are checked after every
event. When the faults end, a majority is healed, and there must be a goose in time. The same seed
gives the same run, byte for byte.

It prints how long the flock was without a goose, how many elections there were, and how often each
fault occurred: so you can try timings for a bad network before you rely on them. If a promise is
broken, it prints the schedule, cut down to what is needed, the last events, and the command that
replays it.

Without --agents, --heartbeat and --lease or --profile each seed draws its own.

` + simFaults() + `
Exit codes: 0 every promise kept, 1 it could not run, 2 wrong usage, 3 safety broken (P1, P2, P3, P6, P9),
4 liveness missed (P4, P5, or what a scenario expects), 5 a crash. If several: the gravest, in the order 3, 5, 4.`,
		Example: `  ddgoose sim --seed 1 --agents 7 --for 24h
  ddgoose sim --profile wan --latency 80ms --faults netem,partition --for 10h
  ddgoose sim --seeds 1000
  ddgoose sim --scenario chained`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}
	flags := cmd.Flags()
	numberFlag(flags, &o.seed, "seed", "", 1<<63, "seed of the run, or of the first of several (default: random, and printed)")
	rangeFlag(flags, &o.seeds, "seeds", "1", 1, 1_000_000, "make N runs, each with the next seed")
	agentsFlag(flags, &o.Agents, "", 1, schedule.MaxAgents, " (default: drawn for each seed)")
	durationFlag(flags, &o.For, "for", "5m", "virtual time in which faults are injected; the time to heal comes on top")
	durationFlag(flags, &o.Every, "every", "", "mean time between faults (default: drawn for each seed, 1s to 15s)")
	flags.StringSliceVar(&o.Faults, "faults", nil, "which faults to inject, a comma list (default: most of them, drawn for each seed)")
	durationFlag(flags, &o.Latency, "latency", "", "delay of the network, one way (default: drawn to fit the timing)")
	choiceFlag(flags, &o.profile, "profile", "", "timing: heartbeat/lease of 50ms/500ms, 10ms/100ms or 150ms/1.5s", "lan", "local", "wan")
	durationFlag(flags, &o.Timing.Heartbeat, "heartbeat", "", "time between the goose's heartbeats")
	leaseFlag(flags, &o.Timing.Lease, &o.Auto, "how long a majority's promise lasts, at least 4 heartbeats; auto: the agents choose")
	stringFlag(flags, &o.only, "only", "", "N,N", "inject only these faults of the schedule, counted from 0; none: no fault")
	stringFlag(flags, &o.scenario, "scenario", "", "NAME", "a schedule written by hand: a name of --list, or a file")
	boolFlag(flags, &o.list, "list", "list the scenarios and exit")
	jsonFlag(flags, &o.json)
	return cmd
}

// simFaults lists the faults for the help.
func simFaults() string {
	var b strings.Builder
	b.WriteString("Verbs of faults and schedules (at T VERB ...; WHO is a name, goose, duck or *):\n")
	for _, v := range schedule.Verbs() {
		drawn := " "
		if v.Drawn {
			drawn = "*"
		}
		fmt.Fprintf(&b, " %s %s\n       %s\n", drawn, strings.TrimSpace(v.Name+" "+v.Takes), v.Does)
	}
	b.WriteString("Those with * may be given to --faults.\n")
	return b.String()
}

func (o *simOptions) run(ctx context.Context, env *environment) error {
	if o.list {
		return o.printList(env)
	}
	p, err := o.plan()
	if err != nil {
		return err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	switch {
	case o.scenario != "":
		return o.runScenario(ctx, env)
	case o.seeds == 1:
		return o.runOne(ctx, env, p)
	}
	return o.runMany(ctx, env, p)
}

// plan checks the flags and returns the plan that they describe.
func (o *simOptions) plan() (p schedule.Plan, err error) {
	p = o.Plan
	if o.profile != "" || o.Timing.Heartbeat != 0 || o.Timing.Lease != 0 {
		c := agent.Config{Name: "a", Profile: o.profile, Heartbeat: o.Timing.Heartbeat, Lease: o.Timing.Lease}.Default()
		if err := c.Validate(); err != nil {
			return p, usage("%w", err)
		}
		p.Timing = schedule.Timing{Heartbeat: c.Heartbeat, Lease: c.Lease}
	}
	for _, name := range o.Faults {
		if !slices.Contains(schedule.Faults(), name) {
			return p, usage("fault %q: want some of %s", name, strings.Join(schedule.Faults(), " "))
		}
	}
	switch o.only {
	case "":
	case "none":
		p.Only = []int{}
	default:
		for word := range strings.SplitSeq(o.only, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(word))
			if err != nil || n < 0 {
				return p, usage("only %q: %q is not a number from 0 on", o.only, word)
			}
			p.Only = append(p.Only, n)
		}
	}
	return p, nil
}

func (o *simOptions) printList(env *environment) error {
	if o.json {
		type row struct {
			Name  string `json:"name"`
			About string `json:"about"`
		}
		rows := []row{}
		for _, s := range schedule.Scenarios() {
			rows = append(rows, row{s.Name, s.About})
		}
		return printJSON(env, rows)
	}
	for _, s := range schedule.Scenarios() {
		fmt.Fprintf(env.stdout, "%-34s %s\n", s.Name, s.About)
	}
	return nil
}

// runScenario runs one scenario, for each of the seeds.
func (o *simOptions) runScenario(ctx context.Context, env *environment) error {
	s, ok := schedule.ScenarioNamed(o.scenario)
	if !ok {
		text, err := os.ReadFile(o.scenario)
		if err != nil {
			return usage("scenario %q: it is neither in `ddgoose sim --list` nor a file: %w", o.scenario, err)
		}
		if s, err = schedule.ParseScenario(o.scenario, string(text)); err != nil {
			return usage("%w", err)
		}
	}
	var all sim.Stats
	for i := range uint64(o.seeds) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted after %d of %d seeds", i, o.seeds)
		}
		seed := cmp.Or(s.Settings.Seed, o.seed+i)
		r := sim.RunScenario(&s, seed)
		all.Add(&r.Stats)
		if r.Err != nil {
			return o.failed(env, &r, fmt.Sprintf("ddgoose sim --scenario %s --seed %d", o.scenario, seed))
		}
	}
	return o.kept(env, &all)
}

// simProgress shows how much of a simulation is done.
func simProgress(env *environment) (show func(done, all float64, format string, args ...any), clear func()) {
	p, start := newProgress(env), time.Now()
	p.last = start
	return func(done, all float64, format string, args ...any) {
		if done > 0 {
			left := float64(time.Since(start)) * (all/done - 1)
			p.show(done/all, "", timeLeft(time.Duration(left), 0), fmt.Sprintf(format, args...))
		}
	}, p.clear
}

// runOne runs one seed, with a line of progress.
func (o *simOptions) runOne(ctx context.Context, env *environment, p schedule.Plan) error {
	show, clear := simProgress(env)
	set := schedule.Drawn(o.seed, p)
	r := sim.Run(set, func(now time.Duration) bool {
		show(float64(now), float64(set.For), "seed %d", o.seed)
		return ctx.Err() == nil
	})
	clear()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %v of virtual time", r.Ended)
	}
	if r.Err != nil {
		return o.shrunken(env, o.seed, p, r)
	}
	return o.kept(env, &r.Stats)
}

// runMany runs several seeds on all cores.
func (o *simOptions) runMany(ctx context.Context, env *environment, p schedule.Plan) error {
	show, clear := simProgress(env)
	var all sim.Stats
	var bad *sim.Result
	var badSeed uint64
	sim.Many(o.seed, o.seeds, runtime.GOMAXPROCS(0), p, func(seed uint64, r sim.Result) bool {
		all.Add(&r.Stats)
		show(float64(all.Runs), float64(o.seeds), "seed %d  %s  %s", seed, check.Count(all.Faults(), "fault"), check.Count(all.Periods, "period"))
		if r.Err != nil {
			bad, badSeed = &r, seed
		}
		return r.Err == nil && ctx.Err() == nil
	})
	clear()
	switch {
	case bad != nil:
		return o.shrunken(env, badSeed, p, *bad)
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted after %d of %d seeds", all.Runs, o.seeds)
	}
	return o.kept(env, &all)
}

// shrinkTries bounds the runs that shrinking takes.
const shrinkTries = 300

// shrunken reports a failed run by the smallest schedule found.
func (o *simOptions) shrunken(env *environment, seed uint64, p schedule.Plan, r sim.Result) error {
	replay := o.command(seed)
	if r.Class() != sim.Crashed {
		r = sim.Shrink(r, shrinkTries)
		replay += " --only " + schedule.OnlyFlag(schedule.Only(seed, p, r.Settings.Ops))
	}
	return o.failed(env, &r, replay)
}

// command returns the command line that repeats this run.
func (o *simOptions) command(seed uint64) string {
	words := []string{"ddgoose sim --seed", strconv.FormatUint(seed, 10), "--for", o.For.String()}
	add := func(name, value string, given bool) {
		if given {
			words = append(words, "--"+name, value)
		}
	}
	add("agents", strconv.Itoa(o.Agents), o.Agents > 0)
	add("every", o.Every.String(), o.Every > 0)
	add("faults", strings.Join(o.Faults, ","), len(o.Faults) > 0)
	add("latency", o.Latency.String(), o.Latency > 0)
	add("profile", o.profile, o.profile != "")
	add("heartbeat", o.Timing.Heartbeat.String(), o.Timing.Heartbeat > 0)
	add("lease", o.Timing.Lease.String(), o.Timing.Lease > 0)
	add("lease", "auto", o.Auto)
	return strings.Join(words, " ")
}

// simAnswer is what --json prints.
type simAnswer struct {
	Verdict string    `json:"verdict"` // kept, liveness, safety or crash
	Seed    uint64    `json:"seed"`
	Stats   sim.Stats `json:"stats"`
	Error   string    `json:"error,omitempty"`
	Replay  string    `json:"replay,omitempty"`
}

func (o *simOptions) failed(env *environment, r *sim.Result, replay string) error {
	if o.json {
		if err := printJSON(env, simAnswer{r.Class().String(), r.Settings.Seed, r.Stats, r.Err.Error(), replay}); err != nil {
			return err
		}
	} else {
		fmt.Fprint(env.stdout, r.Report(replay))
	}
	return quietly(simExits[r.Class()])
}

func (o *simOptions) kept(env *environment, all *sim.Stats) error {
	if o.json {
		return printJSON(env, simAnswer{Verdict: sim.Kept.String(), Seed: o.seed, Stats: *all})
	}
	fmt.Fprintf(env.stdout, "every promise was kept, seed %d\n%s%s", o.seed, check.Kept(nil), all)
	return nil
}
