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

func newWatchCommand(env *environment) *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "watch",
		Short: "Print a line at every change, until the agent stops",
		Long: `Prints what the agent knows, at once and then at every change: one line each, with --json
one status document each. A renewal of the lease does not count as a change, its lapse does. --timeout is
for the first line only.

Exit codes: 1 the agent stopped, 2 wrong usage, no agent, or no answer within --timeout.`,
		Example: "  ddgoose watch\n  ddgoose watch --election nightly-backup\n  ddgoose watch --json | jq --unbuffered -r .role",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.follow(cmd.Context(), func(_ context.Context, _ *client.Client, s api.Status) (err error) {
				if o.json {
					return printJSON(env, s)
				}
				_, err = fmt.Fprintf(env.stdout, "%s %s\n", time.Now().Format("15:04:05.000"), changeLine(s))
				return err
			})
		},
	}, 5*time.Second, o.electionFlag, o.jsonFlag)
}

// follow finds the agent and passes its status to see, at once and at every change,
// until the agent stops or see fails. --timeout is for the first status only.
func (o *clientOptions) follow(ctx context.Context, see func(context.Context, *client.Client, api.Status) error) error {
	path, err := o.find()
	if err != nil {
		return cannotTell(err)
	}
	c := client.New(path).Election(o.election)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(o.timeout, func() { cancel(&lateError{o.timeout}) })
	defer timer.Stop()
	heard := false
	for s, err := range c.Watch(ctx) {
		switch {
		case err != nil && heard && errors.Is(err, client.ErrNotRunning):
			return err // the agent stopped: exit code 1
		case err != nil:
			return answered(err)
		}
		heard = true
		timer.Stop()
		if err := see(ctx, c, s); err != nil {
			return err
		}
	}
	var late *lateError
	if errors.As(context.Cause(ctx), &late) {
		return cannotTell(fmt.Errorf("no answer at %s: %w", path, late))
	}
	return context.Cause(ctx)
}

// changeLine returns a status in one line, without values that change all the time.
func changeLine(s api.Status) string {
	goose := "none"
	if s.Goose != nil {
		goose = api.Printable(s.Goose.Name)
	}
	line := fmt.Sprintf("%s %s, goose %s, term %d, token %d, %d voters, %d alive",
		api.Printable(s.Name), s.Role, goose, s.Term, s.Token, len(s.Config.Voters), s.Alive)
	if s.Netem != "" {
		line += ", netem " + s.Netem
	}
	for _, w := range s.Warnings {
		line += "; warning: " + api.Printable(w)
	}
	return line
}
