package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/client"
)

type leaveOptions struct {
	clientOptions
	force bool
}

func newLeaveCommand(*environment) *cobra.Command {
	var o leaveOptions
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Take this agent out of the flock for good, and end it",
		Long: `Takes this agent out of the flock for good. A goose hands over first; the removal is
committed by a majority of those who stay; then the agent ends. Its disk is marked: to come
back it needs --join. To stop an agent for a while, stop its process instead.

` + clientCodes,
		Example: "  ddgoose leave --socket e",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	boolFlag(cmd.Flags(), &o.force, "force", "leave even if that costs the flock its majority, or ends it")
	o.flags(cmd, 5*time.Second)
	return cmd
}

func (o *leaveOptions) run(ctx context.Context) error {
	return o.ask(ctx, func(ctx context.Context, c *client.Client) error { return c.Leave(ctx, o.force) })
}
