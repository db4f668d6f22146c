package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
)

func newIsGooseCommand(env *environment) *cobra.Command {
	var o clientOptions
	var quiet bool
	cmd := o.command(&cobra.Command{
		Use:   "is-goose",
		Short: "Tell by exit code whether this agent is the goose",
		Long: `Tells by its exit code whether this agent is the goose, inside its lease, and prints the
fencing token if so; with -q nothing. The answer may be out of date a moment later: send the token
with each write, and let the receiver refuse lower ones; or run the work by ddgoose run.

Exit codes: 0 goose, 1 not the goose, 2 cannot tell (wrong usage, no agent, or no answer within --timeout).`,
		Example: "  token=$(ddgoose is-goose) && backup --fence \"$token\"\n  ddgoose is-goose -q || exit 0\n  ddgoose is-goose --json\n  ddgoose is-goose --election nightly-backup",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if quiet {
				env.stdout, env.stderr = &checkedWriter{w: io.Discard}, io.Discard
			}
			return o.isGoose(cmd.Context(), env)
		},
	}, time.Second, o.electionFlag, o.jsonFlag)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing")
	return cmd
}

// gooseAnswer is what is-goose --json prints; token is 0 when this agent is not the goose.
type gooseAnswer struct {
	Token uint64    `json:"token"`
	Lease api.Lease `json:"lease"`
}

func (o *clientOptions) isGoose(ctx context.Context, env *environment) error {
	var a gooseAnswer
	sent := boottime.Now()
	err := o.ask(ctx, func(ctx context.Context, c *client.Client) error {
		s, err := c.Status(ctx)
		a.Lease = s.Lease
		// Counted from the request: the answer may have been slow.
		left := time.Duration(s.Lease.RemainingMS*float64(time.Millisecond)) - (boottime.Now() - sent)
		if s.Role == api.RoleGoose && s.Lease.Valid && left > 0 {
			a.Token = s.Token
		} else {
			a.Lease.Valid, a.Lease.RemainingMS = false, 0
		}
		return err
	})
	switch {
	case err != nil:
		return cannotTell(err)
	case o.json:
		err = printJSON(env, a)
	case a.Token != 0:
		_, err = fmt.Fprintln(env.stdout, a.Token)
	}
	switch {
	case err != nil:
		return cannotTell(fmt.Errorf("write the answer: %w", err))
	case a.Token == 0:
		return quietly(exitError)
	}
	return nil
}

// probes are the questions that an agent answers for load balancers.
var probes = []string{client.ProbeGoose, client.ProbeDuck, client.ProbeHealth, client.ProbeReady}

func newProbeCommand(env *environment) *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "probe " + strings.Join(probes, "|"),
		Short: "Answer a health check by exit code",
		Long: `Asks the agent one of the questions that load balancers ask by HTTP, and answers by exit code:
for health checks that run a program without a shell or curl, such as a container's.

    goose     it is the goose, inside its lease
    duck      it is a duck that knows a live goose
    healthz   it is alive, and its loop runs
    readyz    it knows a live goose

Exit codes: 0 yes, 1 no (stderr says why), 2 cannot tell (wrong usage, no agent, or no answer within --timeout).`,
		Example: `  ddgoose probe healthz
  HEALTHCHECK CMD ["/usr/bin/ddgoose", "probe", "healthz"]   # in a Dockerfile
  script "/usr/bin/ddgoose probe goose"                      # in keepalived's vrrp_script`,
		Args:      oneProbe,
		ValidArgs: probes,
		RunE:      func(cmd *cobra.Command, args []string) error { return o.probe(cmd.Context(), env, args[0]) },
	}, time.Second, o.jsonFlag)
}

// oneProbe requires one argument: a question.
func oneProbe(cmd *cobra.Command, args []string) error {
	if err := oneArgument("a question", client.ProbeHealth)(cmd, args); err != nil {
		return err
	}
	if !slices.Contains(probes, args[0]) {
		return usage("question %q: want one of %s", args[0], strings.Join(probes, " "))
	}
	return nil
}

func (o *clientOptions) probe(ctx context.Context, env *environment, question string) error {
	var p api.Probe
	err := o.ask(ctx, func(ctx context.Context, c *client.Client) (err error) {
		p, err = c.Probe(ctx, question)
		return err
	})
	if err == nil && o.json {
		if err = printJSON(env, p); err != nil {
			err = fmt.Errorf("write the answer: %w", err)
		}
	}
	switch {
	case err != nil:
		return cannotTell(err)
	case p.Error != "" && o.json:
		return quietly(exitError)
	case p.Error != "":
		return errors.New(p.Error)
	}
	return nil
}
