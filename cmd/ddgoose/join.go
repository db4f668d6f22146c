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
	cmd := &cobra.Command{
		Use:   "join ADDR...",
		Short: "Make this agent call more agents",
		Long: `Makes this agent call the agents at these addresses (HOST or HOST:PORT), and prints how many
answered. It fails if none did; the agent itself never counts.

` + clientCodes,
		Example: "  ddgoose join 10.0.0.2 10.0.0.3:3825",
		Args:    cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, addrs []string) error {
			if len(addrs) == 0 {
				return usage("join whom? want an address or more, as ddgoose join 10.0.0.2:3825")
			}
			return show(env, &o, func(c *client.Client, ctx context.Context) (api.JoinReply, error) {
				n, err := c.Join(ctx, addrs)
				return api.JoinReply{Joined: n}, err
			}, func(out io.Writer, r api.JoinReply) error {
				_, err := fmt.Fprintf(out, "%d answered\n", r.Joined)
				return err
			})
		},
	}
	o.flags(cmd, 5*time.Second)
	o.jsonFlag(cmd)
	return cmd
}
