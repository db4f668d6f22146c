package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/client"
)

type forceLeaveOptions struct{ clientOptions }

func newForceLeaveCommand(*environment) *cobra.Command {
	var o forceLeaveOptions
	cmd := &cobra.Command{
		Use:   "force-leave NAME",
		Short: "Remove a dead voter that will never return",
		Long: `Takes an agent that is dead, and will never return, out of the voters. It is given to the
goose. An agent that is alive leaves by ddgoose leave, given to it.

` + clientCodes,
		Example: "  ddgoose force-leave e --socket a",
		Args:    oneArgument("NAME", "e"),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	o.flags(cmd, 5*time.Second)
	return cmd
}

func (o *forceLeaveOptions) run(ctx context.Context, name string) error {
	return o.ask(ctx, func(ctx context.Context, c *client.Client) error { return c.ForceLeave(ctx, name) })
}
