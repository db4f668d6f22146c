package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// waitPause is the pause between attempts to reach an agent that does not answer yet.
const waitPause = 50 * time.Millisecond

type waitOptions struct {
	clientOptions
	what condition
}

func newWaitCommand(env *environment) *cobra.Command {
	var o waitOptions
	cmd := o.command(&cobra.Command{
		Use:   "wait --for goose|voters=N",
		Short: "Wait until a goose is known, or there are N voters",
		Long: `Waits for a condition: "goose": this agent knows a live goose (prints its name); "voters=3": there are
exactly 3 voters; "voters>=3": there are 3 or more. It also waits for an agent that has not started yet, and
for an election that does not exist yet.

Exit codes: 0 the condition is true, 1 error, 2 wrong usage, or not within --timeout.`,
		Example: "  ddgoose wait --for goose\n  ddgoose wait --for voters=5 --timeout 30s\n  ddgoose wait --for goose --election nightly-backup",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}, 5*time.Second, o.electionFlag)
	flagVar(cmd.Flags(), &o.what, "for", "", "goose|voters=N", "what to wait for", parseCondition)
	return cmd
}

// condition is what wait waits for.
type condition struct {
	text  string
	holds func(api.Status) bool
}

const forGoose = "goose"

func parseCondition(s string) (condition, error) {
	if s == forGoose {
		return condition{s, func(s api.Status) bool { return s.Goose != nil && s.Role != api.RoleDead }}, nil
	}
	atLeast := false
	count, ok := strings.CutPrefix(s, "voters=")
	if !ok {
		count, atLeast = strings.CutPrefix(s, "voters>=")
	}
	n, err := strconv.Atoi(count)
	if !ok && !atLeast || err != nil || n < 1 {
		return condition{}, fmt.Errorf("want goose, voters=N or voters>=N with N above 0")
	}
	return condition{s, func(s api.Status) bool {
		got := len(s.Config.Voters)
		return got == n || atLeast && got > n
	}}, nil
}

func (o *waitOptions) run(ctx context.Context, env *environment) error {
	if o.what.holds == nil {
		return usage("wait for what? want --for goose or --for voters=N")
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	last := "no agent has answered"
	for {
		err := o.watch(ctx, env, &last)
		var several *client.SeveralError
		unfounded := o.election != "" && errors.Is(err, api.ErrNotFound)
		switch {
		case err == nil:
			return nil
		case errors.As(err, &several): // the user must choose
			return cannotTell(err)
		case !errors.Is(err, errNotYet) && !errors.Is(err, client.ErrNotRunning) && !errors.Is(err, client.ErrNoSocket) && !unfounded:
			return answered(err)
		}
		pause := time.NewTimer(waitPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return cannotTell(fmt.Errorf("waited %v for %s: %s", o.timeout, o.what.text, last))
		}
	}
}

// errNotYet: the agent stopped before the condition held.
var errNotYet = errors.New("the agent stopped")

// watch follows one agent until the condition holds, the agent stops, or ctx ends. It keeps
// the latest state in last.
func (o *waitOptions) watch(ctx context.Context, env *environment, last *string) error {
	path, err := o.find()
	if err != nil {
		*last = err.Error()
		return err
	}
	for s, err := range client.New(path).Election(o.election).Watch(ctx) {
		if err != nil {
			*last = err.Error()
			return err
		}
		if o.what.holds(s) {
			if s.Goose != nil && o.what.text == forGoose {
				fmt.Fprintln(env.stdout, api.Printable(s.Goose.Name))
			}
			return nil
		}
		*last = changeLine(s)
		if len(s.Warnings) > 0 {
			*last += "; " + s.Warnings[0]
		}
	}
	return errNotYet
}
