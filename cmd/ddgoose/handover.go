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
	cmd := o.command(&cobra.Command{
		Use:   "step-down",
		Short: "Make the goose hand over to another",
		Long: `Makes this agent, the goose, stop its work and hand over to the voter that ranks next, or
to the one named by --to. It returns when another agent is the goose, and prints its name.
If the work has a grace of more than 10 s, give a longer --timeout.

Exit codes: 0 another agent is the goose, 1 refused (this agent is a duck or alone, the agent
of --to does not vote, or the flock is frozen) or no agent took over within two leases, 2 wrong usage, no agent, or no answer
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
				_, err := fmt.Fprintln(out, api.Printable(r.Goose))
				return err
			})
		},
	}, longWait, o.electionFlag, o.jsonFlag)
	stringFlag(cmd.Flags(), &to, "to", "", "NAME", "the voter that takes over (default the one that ranks next)")
	completeFlag(cmd, "to", memberNames(func(m api.Member) bool { return m.Voter && m.Role != api.RoleGoose }))
	boolFlag(cmd.Flags(), &force, "force", "hand over even while the flock is frozen (ddgoose freeze)")
	return cmd
}

func newFreezeCommand(env *environment) *cobra.Command {
	var o clientOptions
	var lasts time.Duration
	cmd := o.command(&cobra.Command{
		Use:   "freeze",
		Short: "Block planned goose changes; failover still works",
		Long: `Freezes the whole flock, for maintenance, until --for has passed or ddgoose thaw. While frozen:
step-down needs --force; preemption (--preempt) and priority changes are ignored.

Everything else works as usual: another agent takes over from a goose that fails, stops (SIGTERM)
or leaves, an agent steps down when its work ends, and dead voters are replaced.

All live agents are told at once. Agents that cannot be reached are listed; they learn of the
freeze by gossip when they return, and until then a goose among them is not frozen. The latest
freeze or thaw counts. No disk keeps it: an agent that restarts learns it from the others, and a
flock that was stopped as a whole has forgotten it. ddgoose status shows the freeze on every agent.

` + clientCodes,
		Example: "  ddgoose freeze\n  ddgoose freeze --for 20m && apt-get upgrade; ddgoose thaw",
		RunE: func(*cobra.Command, []string) error {
			if lasts > api.MaxFreeze {
				return usage("for %v: want %v at the most", lasts, api.MaxFreeze)
			}
			return show(env, &o, func(c *client.Client, ctx context.Context) (api.Freeze, error) { return c.Freeze(ctx, lasts) },
				printFreeze(fmt.Sprintf("frozen for %v", lasts)))
		},
	}, longWait, o.jsonFlag)
	durationFlag(cmd.Flags(), &lasts, "for", api.DefaultFreeze.String(), "how long, 24h at the most; then it ends by itself")
	return cmd
}

func newThawCommand(env *environment) *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "thaw",
		Short: "End a freeze",
		Long: `Ends a freeze of the whole flock; any agent can be asked. An agent of a higher priority may take over
at once, if it has been a steady voter for long enough.

` + clientCodes,
		Example: "  ddgoose thaw",
		RunE: func(*cobra.Command, []string) error {
			return show(env, &o, (*client.Client).Thaw, printFreeze("thawed"))
		},
	}, longWait, o.jsonFlag)
}

// printFreeze returns who was told, and who was not.
func printFreeze(what string) func(io.Writer, api.Freeze) error {
	return func(out io.Writer, f api.Freeze) error {
		fmt.Fprint(out, what+":")
		for _, name := range f.Reached {
			fmt.Fprint(out, " "+api.Printable(name))
		}
		_, err := fmt.Fprintln(out)
		for _, u := range f.Unreached {
			_, err = fmt.Fprintf(out, "not reached: %s: %s; it learns of it when it returns\n", api.Printable(u.Name), api.Printable(u.Error))
		}
		return err
	}
}
