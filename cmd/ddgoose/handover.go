package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

func newStepDownCommand(env *environment) *cobra.Command {
	var o clientOptions
	var to string
	var force bool
	cmd := &cobra.Command{
		Use:   "step-down",
		Short: "Make the goose hand over to another",
		Long: `Makes this agent, the goose, stop its work and hand over to the voter that ranks next, or
to the one named by --to. It returns when another is the goose, and prints its name.

Exit codes: 0 another is the goose, 1 refused (this agent is a duck or alone, --to does
not vote, or the flock is frozen) or nobody took over within two leases, 2 wrong usage, no agent, or no answer
within --timeout.`,
		Example: "  ddgoose step-down\n  ddgoose step-down --socket a --to b\n  ddgoose step-down --election nightly-backup",
		RunE: func(*cobra.Command, []string) error {
			return show(env, &o, func(c *client.Client, ctx context.Context) (api.StepDownReply, error) {
				stepDown := c.StepDown
				if force {
					stepDown = c.ForceStepDown
				}
				goose, err := stepDown(ctx, to)
				return api.StepDownReply{Goose: goose}, err
			}, func(out io.Writer, r api.StepDownReply) error {
				_, err := fmt.Fprintln(out, printable(r.Goose))
				return err
			})
		},
	}
	stringFlag(cmd.Flags(), &to, "to", "", "NAME", "the voter that takes over (default the one that ranks next)")
	boolFlag(cmd.Flags(), &force, "force", "hand over although the flock is frozen (ddgoose freeze)")
	o.flags(cmd, 5*time.Second)
	o.electionFlag()
	o.jsonFlag(cmd)
	return cmd
}

// freezeWait is how long a freeze may take by default: agents that do not answer
// are asked through others.
const freezeWait = 15 * time.Second

func newFreezeCommand(env *environment) *cobra.Command {
	var o clientOptions
	var lasts time.Duration
	cmd := &cobra.Command{
		Use:   "freeze",
		Short: "Keep the goose from changing but on failure, for maintenance",
		Long: `Freezes the whole flock: until --for has passed, or ddgoose thaw, its goose changes on failure only.
Refused is a step-down without --force; off are preemption (--preempt) and changes of
priority. A goose that fails is followed by another as ever, a stop (SIGTERM) or leave of the
goose hands over as ever, work that ends by itself still has its agent step down, and voters
that die are replaced.

Every live agent is told at once. Those that cannot be reached are named, and hear of it by
gossip when they return; until then a goose among them is not frozen. Whatever was said last rules. No
disk keeps it: an agent that restarts hears it from the others, and a flock that was stopped as a
whole has forgotten it. ddgoose status warns of it on every agent, and tells what is left.

` + clientCodes,
		Example: "  ddgoose freeze\n  ddgoose freeze --for 20m && apt-get upgrade; ddgoose thaw",
		RunE: func(*cobra.Command, []string) error {
			if lasts > api.MaxFreeze {
				return usage("for %v: want %v at the most", lasts, api.MaxFreeze)
			}
			return show(env, &o, func(c *client.Client, ctx context.Context) (api.Freeze, error) { return c.Freeze(ctx, lasts) },
				printFreeze(fmt.Sprintf("frozen for %v", lasts)))
		},
	}
	durationFlag(cmd.Flags(), &lasts, "for", api.DefaultFreeze.String(), "how long, 24h at the most; then it ends by itself")
	o.flags(cmd, freezeWait)
	o.jsonFlag(cmd)
	return cmd
}

func newThawCommand(env *environment) *cobra.Command {
	var o clientOptions
	cmd := &cobra.Command{
		Use:   "thaw",
		Short: "End a freeze",
		Long: `Ends a freeze of the whole flock, whichever agent is asked. An agent that asks to take over for its priority
may do so at once, if it has been steady for long enough.

` + clientCodes,
		Example: "  ddgoose thaw",
		RunE: func(*cobra.Command, []string) error {
			return show(env, &o, (*client.Client).Thaw, printFreeze("thawed"))
		},
	}
	o.flags(cmd, freezeWait)
	o.jsonFlag(cmd)
	return cmd
}

// printFreeze tells who was told, and who was not.
func printFreeze(what string) func(io.Writer, api.Freeze) error {
	return func(out io.Writer, f api.Freeze) error {
		fmt.Fprint(out, what+":")
		for _, name := range f.Reached {
			fmt.Fprint(out, " "+printable(name))
		}
		_, err := fmt.Fprintln(out)
		for _, u := range f.Unreached {
			_, err = fmt.Fprintf(out, "not reached: %s: %s; it hears of it when it returns\n", printable(u.Name), printable(u.Error))
		}
		return err
	}
}
