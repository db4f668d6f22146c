package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/client"
)

func newSimulateCommand(*environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Let an agent be dead for a while",
		Long: `Simulates a crash: the agent goes silent in both directions at once and everything that
works for the goose here is killed; its socket still answers, with role dead.

` + clientCodes,
		Example: "  ddgoose simulate death --for 10s\n  ddgoose simulate revive",
	}
	cmd.AddCommand(newDeathCommand(), newReviveCommand())
	return cmd
}

func newDeathCommand() *cobra.Command {
	var o clientOptions
	var lasts time.Duration
	cmd := &cobra.Command{
		Use:   "death",
		Short: "Go silent, as after a crash",
		Long: `Makes this agent go silent, as after a crash, until --for is over or ddgoose simulate revive.

` + clientCodes,
		Example: "  ddgoose simulate death --for 10s",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *client.Client) error { return c.Die(ctx, lasts) })
		},
	}
	durationFlag(cmd.Flags(), &lasts, "for", "", "how long (default until revived)")
	o.flags(cmd, 5*time.Second)
	return cmd
}

func newReviveCommand() *cobra.Command {
	var o clientOptions
	cmd := &cobra.Command{
		Use:   "revive",
		Short: "Start again, as after a restart",
		Long: `Ends a simulated death: the agent reads its disk and starts again, as after a restart.

` + clientCodes,
		Example: "  ddgoose simulate revive",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *client.Client) error { return c.Revive(ctx) })
		},
	}
	o.flags(cmd, 5*time.Second)
	return cmd
}
