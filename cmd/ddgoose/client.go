package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/client"
)

// clientOptions are the flags of every command that talks to an agent.
type clientOptions struct {
	socket  string
	timeout time.Duration
	json    bool
}

// flags adds --socket and --timeout.
func (o *clientOptions) flags(cmd *cobra.Command, timeout time.Duration) {
	cmd.Flags().StringVar(&o.socket, "socket", "", "the agent's socket: a `PATH`, or a name without a slash; default: DDGOOSE_SOCKET, else the only one that runs here")
	cmd.Flags().DurationVar(&o.timeout, "timeout", timeout, "how long to wait for the answer; then exit 2")
}

// jsonFlag adds --json.
func (o *clientOptions) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
}

// ask finds the agent and lets f talk to it, for no longer than --timeout. An
// agent that cannot be asked, or does not answer in time, is exit 2.
func (o *clientOptions) ask(ctx context.Context, f func(context.Context, *client.Client) error) error {
	if o.timeout <= 0 {
		return usage("timeout %v: want a time above 0s, as 5s", o.timeout)
	}
	path, err := client.FindSocket(o.socket)
	if err != nil {
		return cannotTell(err)
	}
	late := fmt.Errorf("no answer within %v (--timeout)", o.timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, late)
	defer cancel()
	err = f(ctx, client.New(path))
	if errors.Is(err, client.ErrNotRunning) || errors.Is(err, late) {
		return cannotTell(err)
	}
	return err
}
