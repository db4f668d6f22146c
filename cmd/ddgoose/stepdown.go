package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

type stepDownOptions struct {
	clientOptions
	to    string
	force bool
}

func newStepDownCommand(env *environment) *cobra.Command {
	var o stepDownOptions
	cmd := &cobra.Command{
		Use:   "step-down",
		Short: "Make the goose hand over to another",
		Long: `Makes this agent, the goose, stop its work and hand over to the voter that ranks next, or
to the one named by --to. It returns when another is the goose, and prints its name.

Exit codes: 0 another is the goose, 1 refused (this agent is a duck or alone, --to does
not vote, or the flock is frozen) or nobody took over within two leases, 2 wrong usage, no agent, or no answer
within --timeout.`,
		Example: "  ddgoose step-down\n  ddgoose step-down --socket a --to b\n  ddgoose step-down --election nightly-backup",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}
	stringFlag(cmd.Flags(), &o.to, "to", "", "NAME", "the voter that takes over (default the one that ranks next)")
	boolFlag(cmd.Flags(), &o.force, "force", "hand over although the flock is frozen (ddgoose freeze)")
	o.flags(cmd, 5*time.Second)
	o.electionFlag()
	o.jsonFlag(cmd)
	return cmd
}

func (o *stepDownOptions) run(ctx context.Context, env *environment) error {
	return o.ask(ctx, func(ctx context.Context, c *client.Client) error {
		stepDown := c.StepDown
		if o.force {
			stepDown = c.ForceStepDown
		}
		goose, err := stepDown(ctx, o.to)
		switch {
		case err != nil:
			return err
		case o.json:
			return printJSON(env, api.StepDownReply{Goose: goose})
		}
		_, err = fmt.Fprintln(env.stdout, printable(goose))
		return err
	})
}
