package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"duckduckgoose/agent"
	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/flock"
)

func newFlockCommand(env *environment) *cobra.Command {
	var o flock.RunOptions
	cmd := &cobra.Command{
		Use:   "flock",
		Short: "Run a local flock of real agents, shown live",
		Long: `Runs agents a, b, c, ... on this machine, each a process of its own, and shows who is the goose:
a live screen on a terminal (ddgoose top's, ? lists its keys), a line per change elsewhere. q or
Ctrl-C stops them all; none outlives this command, however it ends.

The folder (--dir) has the agents' sockets NAME.sock, logs NAME.log and data NAME/, and
driver.sock, by which the commands below act on the flock while it runs. With --dir the
agents' disks are kept for the next time; the default folder is emptied at each start.

The agents share the key of this user's agents on loopback, or what DDGOOSE_KEY_FILE or
DDGOOSE_INSECURE say; other settings of the environment do not reach them.

With --lifetime each agent is killed after a random life, as by a crash, and started again.

Exit codes: 0 stopped by q, Ctrl-C or SIGTERM, 1 it could not run, 2 wrong usage.`,
		Example: "  ddgoose flock\n  ddgoose flock -n 3 --dir ./f --lifetime 10s..30s\n  ddgoose flock --election nightly-backup,reports",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runFlock(cmd.Context(), env, o) },
	}
	flags := cmd.Flags()
	agentsFlag(flags, &o.Agents, "5", 1, flock.MaxAgents, "")
	flockDirFlag(flags, &o.Dir)
	timingFlags(flags, &o.Options)
	flagVar(flags, &o.Lifetime, "lifetime", "", "MIN..MAX", "kill each agent after a random life, as 10s..30s, and start it again", flock.ParseLifetime)
	numberFlag(flags, &o.HTTPBase, "http-base", "", 65535, "give the first agent this --http port, and the others those that follow")
	electionListFlag(flags, &o.Elections, "a further election that all agents may lead; repeatable, comma lists")
	wardenFlag(flags, &o.Warden)
	cmd.AddCommand(
		newFlockVerb(flockVerb{
			use: "partition SHAPE", short: "Cut the flock's network",
			long: `Cuts the flock's network; it replaces the last partition, holds for agents started later, and
leaves other fault rules alone. SHAPE is one of

  groups               a,b/c,d,e     an unnamed agent is a group alone
  one-way cuts         a>b,c>b       nothing passes from a to b, and from c to b
  the only links left  a-b,a-c`,
			example: "ddgoose flock partition a,b/c,d,e", arg: "a SHAPE", instance: "a,b/c,d,e",
			do: (*flock.Driver).Partition,
		}),
		newFlockVerb(flockVerb{
			use: "heal", short: "End the partition", long: "Ends the partition; other fault rules stay.",
			example: "ddgoose flock heal",
			do:      func(d *flock.Driver, ctx context.Context, _ string) error { return d.Heal(ctx) },
		}),
		newFlockVerb(flockVerb{
			use: "kill NAME", short: "Kill an agent, as a crash would",
			long:    "Kills an agent (SIGKILL). It stays dead until it is started.",
			example: "ddgoose flock kill a", arg: agentArg, instance: "a",
			do: (*flock.Driver).Kill,
		}),
		newFlockVerb(flockVerb{
			use: "start NAME", short: "Start a dead agent",
			long:    "Starts an agent that was killed, or has ended by itself, with the disk it has.",
			example: "ddgoose flock start a", arg: agentArg, instance: "a",
			do: (*flock.Driver).Start,
		}),
		newFlockVerb(flockVerb{
			use: "stop", short: "Stop the flock and its driver",
			long:    "Stops all agents and the ddgoose flock that runs them, as Ctrl-C there does. Logs and data stay.",
			example: "ddgoose flock stop",
			do:      func(d *flock.Driver, ctx context.Context, _ string) error { return d.Stop(ctx) },
		}),
		newFlockVerb(flockVerb{
			use: "netem RULES", short: "Give all agents a bad network",
			long: `Replaces the fault rules of all agents, and of those started later; '' clears them. The
partition stays.

` + rulesHelp,
			example: "ddgoose flock netem '*: loss 10%'", arg: "RULES, in quotes ('' for none)", instance: "'*: loss 10%'", empty: true,
			do: (*flock.Driver).Netem,
		}),
	)
	return cmd
}

// flockDir returns the flock's folder if --dir is not given.
func flockDir() string { return filepath.Join(client.RuntimeDir(), client.FlockFolder) }

// driverAt returns a client of the flock in dir; "": the default folder.
func driverAt(dir string) *flock.Driver { return flock.Connect(cmp.Or(dir, flockDir())) }

func flockDirFlag(flags *pflag.FlagSet, to *string) {
	stringFlag(flags, to, "dir", "", "D", "the flock's folder (default "+client.FlockFolder+" in the runtime folder)")
}

func timingFlags(flags *pflag.FlagSet, to *flock.Options) {
	choiceFlag(flags, &to.Profile, "profile", "lan", "timing: heartbeat/lease of 10ms/100ms, 50ms/500ms or 150ms/1.5s", "local", "lan", "wan")
	durationFlag(flags, &to.Heartbeat, "heartbeat", "", "time between heartbeats (default the profile's)")
	leaseFlag(flags, &to.Lease, &to.AutoLease, "length of a lease (default the profile's); auto: as the goose measures its network")
}

// timing is that of a flock's agents.
func timing(o *flock.Options) agent.Config {
	return agent.Config{Profile: o.Profile, Heartbeat: o.Heartbeat, Lease: o.Lease, AutoLease: o.AutoLease}
}

// checkTiming returns what is wrong with the timing as wrong usage.
func checkTiming(o *flock.Options) error {
	if err := timing(o).Default().Validate(); err != nil {
		return usage("%w", err)
	}
	return nil
}

func wardenFlag(flags *pflag.FlagSet, to *bool) {
	boolFlag(flags, to, "warden", "agents run with --warden: a goose that is killed leaves a last will")
}

func runFlock(ctx context.Context, env *environment, o flock.RunOptions) (err error) {
	if o.Binary, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program for the agents: %w", err)
	}
	o.Command, o.Out, o.Colour, o.Status, o.Why = commandName(o.Binary), env.out(), env.colour(), statusText, whyText
	if o.Empty = o.Dir == ""; o.Empty {
		o.Dir = flockDir()
	} else {
		o.DirFlag = " --dir " + api.Quoted(o.Dir)
	}
	if err := o.Check(); err != nil {
		return usage("%w", err)
	}
	if err := checkTiming(&o.Options); err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx) // the second signal ends the driver at once, and the kernel then ends its agents
	defer stop()
	err = flock.Run(ctx, o)
	if errors.Is(err, flock.ErrTaken) {
		return fmt.Errorf("%w: act on that one (%s flock --help), or start a second one beside it: %s flock --dir ./flock2", err, o.Command, o.Command)
	}
	return err
}

// out returns the file behind stdout, because only a file can be a terminal.
func (env *environment) out() io.Writer {
	if c, ok := env.stdout.(*checkedWriter); ok {
		return c.w
	}
	return env.stdout
}

// commandName returns how to call this program on a command line: by its name if the shell
// finds it, else by the path it was called by.
func commandName(binary string) string {
	name := filepath.Base(os.Args[0])
	if found, err := exec.LookPath(name); err == nil && filepath.IsAbs(found) {
		a, errA := os.Stat(found)
		b, errB := os.Stat(binary)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return name
		}
	}
	return api.Quoted(os.Args[0])
}

// flockPlace finds this program for the agents of a flock, and makes a folder for
// them, with a path short enough for sockets.
func flockPlace(pattern string) (binary, dir string, err error) {
	if binary, err = os.Executable(); err != nil {
		return "", "", fmt.Errorf("find this program for the agents: %w", err)
	}
	if dir, err = os.MkdirTemp("", pattern); err != nil {
		return "", "", fmt.Errorf("make a folder for the flock: %w", err)
	}
	return binary, dir, nil
}

// flockVerb is a command that acts on a running flock.
type flockVerb struct {
	use, short, long, example string
	arg, instance             string // "" for a verb that takes none
	empty                     bool   // the argument may be empty
	do                        func(d *flock.Driver, ctx context.Context, arg string) error
}

// agentArg is the argument of a verb that acts on one agent.
const agentArg = "an agent's NAME"

func newFlockVerb(v flockVerb) *cobra.Command {
	var dir string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: v.use, Short: v.short,
		Long: v.long + `

Exit codes: 0 done, 1 refused, 2 wrong usage, no flock runs there, or it did not answer
within --timeout.`,
		Example: "  " + v.example,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, &lateError{timeout})
			defer cancel()
			err := v.do(driverAt(dir), ctx, strings.Join(args, ""))
			if errors.Is(err, flock.ErrNoFlock) {
				return cannotTell(fmt.Errorf("%w: start one with ddgoose flock, or name its folder with --dir", err))
			}
			return answered(err)
		},
	}
	if v.arg != "" {
		cmd.Args = oneArgument(v.arg, v.instance)
	}
	if v.arg == agentArg {
		cmd.ValidArgsFunction = flockNames
	}
	if v.empty {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "" {
				return nil
			}
			return oneArgument(v.arg, v.instance)(cmd, args)
		}
	}
	flockDirFlag(cmd.Flags(), &dir)
	durationFlag(cmd.Flags(), &timeout, "timeout", "10s", "give up after this long (exit 2)")
	return cmd
}
