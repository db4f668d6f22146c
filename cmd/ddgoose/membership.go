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

func newJoinCommand(env *environment) *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "join ADDR...",
		Short: "Connect this agent to more agents",
		Long: `Connects this agent to the agents at these addresses (HOST or HOST:PORT), and prints how many
answered. It fails if none did; the agent itself never counts.

` + clientCodes,
		Example: "  ddgoose join 10.0.0.2 10.0.0.3:3825",
		Args:    cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, addrs []string) error {
			if len(addrs) == 0 {
				return usage("join: want one or more addresses, for example ddgoose join 10.0.0.2:3825")
			}
			return show(env, &o, func(c *client.Client, ctx context.Context) (api.JoinReply, error) {
				n, err := c.Join(ctx, addrs)
				return api.JoinReply{Joined: n}, err
			}, func(out io.Writer, r api.JoinReply) error {
				_, err := fmt.Fprintf(out, "%d answered\n", r.Joined)
				return err
			})
		},
	}, 5*time.Second, o.jsonFlag)
}

func newLeaveCommand(*environment) *cobra.Command {
	var o clientOptions
	var force bool
	cmd := o.command(&cobra.Command{
		Use:   "leave",
		Short: "Remove this agent from the flock, and stop it",
		Long: `Removes this agent from the flock. A goose hands over first; the removal is
committed by a majority of those who stay; then the agent ends. Its disk is marked: to come
back it needs --join. To stop an agent for a while, stop its process instead.
If the goose's work has a grace of more than 10 s, give a longer --timeout.

` + clientCodes,
		Example: "  ddgoose leave --socket e",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *client.Client) error { return c.Leave(ctx, force) })
		},
	}, longWait)
	boolFlag(cmd.Flags(), &force, "force", "leave even if that costs the flock its majority, or ends it")
	return cmd
}

func newForceLeaveCommand(*environment) *cobra.Command {
	var o clientOptions
	cmd := o.command(&cobra.Command{
		Use:   "force-leave NAME",
		Short: "Remove a dead voter that will never return",
		Long: `Removes a dead agent that will never return from the voters. Run it on the goose. To remove an
agent that is alive, run ddgoose leave on that agent.

` + clientCodes,
		Example: "  ddgoose force-leave e --socket a",
		Args:    oneArgument("NAME", "e"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *client.Client) error { return c.ForceLeave(ctx, args[0]) })
		},
	}, longWait)
	cmd.ValidArgsFunction = memberNames(func(m api.Member) bool { return m.Voter && m.State != api.StateAlive })
	return cmd
}
