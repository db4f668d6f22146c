package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// clientCodes ends the help of the commands that ask an agent for something.
const clientCodes = "Exit codes: 0 done, 1 the agent refused or failed, 2 wrong usage, no agent, or no answer within --timeout."

// answerWait is how long an agent may take for the first answer, unless --timeout is given.
const answerWait = 5 * time.Second

// longWait is the default --timeout of commands that wait for work to end within the default
// grace of 5 s, for agents that are asked through others, or for the 10 s of a forced leave.
const longWait = 15 * time.Second

// clientOptions are the flags of every command that talks to an agent.
type clientOptions struct {
	cmd      *cobra.Command
	socket   string
	election string // "": the default one
	timeout  time.Duration
	json     bool
}

// flags adds --socket and --timeout.
func (o *clientOptions) flags(cmd *cobra.Command, timeout time.Duration) {
	o.cmd = cmd
	socketFlag(cmd, &o.socket)
	durationFlag(cmd.Flags(), &o.timeout, "timeout", timeout.String(), "give up after this long (exit 2)")
}

// socketFlag adds --socket of a client.
func socketFlag(cmd *cobra.Command, to *string) {
	flagVar(cmd.Flags(), to, "socket", "", "PATH|NAME", "the agent's socket; without a slash, the agent's name (default DDGOOSE_SOCKET, else the only agent here)", parseSocket)
	completeFlag(cmd, "socket", socketNames)
}

// parseSocket refuses an empty word, as of a variable that is not set: it would mean another agent.
func parseSocket(s string) (string, error) {
	if s == "" {
		return "", errors.New("want a PATH or a NAME, or no --socket")
	}
	return s, nil
}

// command adds to cmd the flags of a client, and those that more adds.
func (o *clientOptions) command(cmd *cobra.Command, timeout time.Duration, more ...func(*cobra.Command)) *cobra.Command {
	o.flags(cmd, timeout)
	for _, add := range more {
		add(cmd)
	}
	return cmd
}

// jsonFlag adds --json and -o.
func (o *clientOptions) jsonFlag(cmd *cobra.Command) { jsonFlag(cmd.Flags(), &o.json) }

// ask finds the agent and lets f talk to it, for no longer than --timeout.
func (o *clientOptions) ask(ctx context.Context, f func(context.Context, *client.Client) error) error {
	path, err := o.find()
	if err != nil {
		return cannotTell(err)
	}
	c := client.New(path).Election(o.election)
	if o.timeout > answerWait && !o.cmd.Flags().Changed("timeout") {
		if err := hung(ctx, c); err != nil {
			return cannotTell(err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, &lateError{o.timeout})
	defer cancel()
	return answered(f(ctx, c))
}

// hung returns an error if the agent answers nothing within answerWait.
func hung(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWait, fmt.Errorf("not within %v; nothing was asked for", answerWait))
	defer cancel()
	if _, err := c.Status(ctx); ctx.Err() != nil {
		return err
	}
	return nil
}

// show asks the agent, and prints its answer: as JSON with --json, else by print.
func show[T any](env *environment, o *clientOptions, ask func(*client.Client, context.Context) (T, error), print func(io.Writer, T) error) error {
	return o.ask(o.cmd.Context(), func(ctx context.Context, c *client.Client) error {
		answer, err := ask(c, ctx)
		switch {
		case err != nil:
			return err
		case o.json:
			return printJSON(env, answer)
		}
		return print(env.stdout, answer)
	})
}

// find returns the agent's socket. If several agents run here, the error repeats this command
// line for each of them.
func (o *clientOptions) find() (string, error) {
	path, err := client.FindSocket(o.socket)
	var several *client.SeveralError
	if errors.As(err, &several) {
		err = &chooseError{several, o.cmd.CommandPath(), o.cmd.Flags().Args(), commandLine(o.cmd.Flags())}
	}
	return path, err
}

// chooseError says how to name one of several agents.
type chooseError struct {
	*client.SeveralError
	path string
	args []string
	line map[string][]string
}

func (e *chooseError) Error() string {
	commands := make([]string, len(e.Names))
	for i, name := range e.Names {
		commands[i] = pasteable(e.path, with(e.line, "socket", name), e.args...)
	}
	return "several agents run here, choose one: " + strings.Join(commands, " or ")
}

func (e *chooseError) Unwrap() error { return e.SeveralError }

// answered chooses the exit code: 2 if the agent cannot be asked or does not answer in time, or
// if the request can never be right.
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
