package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

type joinOptions struct{ clientOptions }

func newJoinCommand(env *environment) *cobra.Command {
	var o joinOptions
	cmd := &cobra.Command{
		Use:   "join ADDR...",
		Short: "Make this agent call more agents",
		Long: `Makes this agent call the agents at these addresses (HOST or HOST:PORT), and prints how many
answered. It fails if none did; the agent itself never counts.

` + clientCodes,
		Example: "  ddgoose join 10.0.0.2 10.0.0.3:3825",
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), env, args) },
	}
	o.flags(cmd, 5*time.Second)
	o.jsonFlag(cmd)
	return cmd
}

func (o *joinOptions) run(ctx context.Context, env *environment, addrs []string) error {
	if len(addrs) == 0 {
		return usage("join whom? want an address or more, as ddgoose join 10.0.0.2:3825")
	}
	return o.ask(ctx, func(ctx context.Context, c *client.Client) error {
		n, err := c.Join(ctx, addrs)
		switch {
		case err != nil:
			return err
		case o.json:
			return printJSON(env, api.JoinReply{Joined: n})
		}
		_, err = fmt.Fprintf(env.stdout, "%d answered\n", n)
		return err
	})
}
