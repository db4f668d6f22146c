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
