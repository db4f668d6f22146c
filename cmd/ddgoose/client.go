package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// clientCodes ends the help of the commands that ask an agent for something.
const clientCodes = "Exit codes: 0 done, 1 the agent refused or failed, 2 wrong usage, no agent, or no answer within --timeout."

// clientOptions are the flags of every command that talks to an agent.
type clientOptions struct {
	socket  string
	timeout time.Duration
	json    bool
}

// flags adds --socket and --timeout.
func (o *clientOptions) flags(cmd *cobra.Command, timeout time.Duration) {
	stringFlag(cmd.Flags(), &o.socket, "socket", "", "PATH|NAME", "the agent's socket; without a slash, the agent's name (default DDGOOSE_SOCKET, else the only agent here)")
	durationFlag(cmd.Flags(), &o.timeout, "timeout", timeout.String(), "how long to wait for the answer; then exit 2")
}

// jsonFlag adds --json.
func (o *clientOptions) jsonFlag(cmd *cobra.Command) {
	boolFlag(cmd.Flags(), &o.json, "json", "print JSON, for programs")
}

// ask finds the agent and lets f talk to it, for no longer than --timeout.
func (o *clientOptions) ask(ctx context.Context, f func(context.Context, *client.Client) error) error {
	path, err := client.FindSocket(o.socket)
	if err != nil {
		return cannotTell(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, &lateError{o.timeout})
	defer cancel()
	return answered(f(ctx, client.New(path)))
}

// answered chooses the exit code: an agent that cannot be asked, or has not
// answered in time, and a request that can never be right are 2.
func answered(err error) error {
	var late *lateError
	if errors.Is(err, client.ErrNotRunning) || errors.Is(err, api.ErrInput) || errors.As(err, &late) {
		return cannotTell(err)
	}
	return err
}

// lateError is the end of --timeout.
type lateError struct{ after time.Duration }

func (e *lateError) Error() string {
	return fmt.Sprintf("not within %v (--timeout); what was asked for may still happen", e.after)
}
