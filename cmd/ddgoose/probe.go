package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// probes are the questions that an agent answers for load balancers.
var probes = []string{client.ProbeGoose, client.ProbeDuck, client.ProbeHealth, client.ProbeReady}

func newProbeCommand(env *environment) *cobra.Command {
	var o clientOptions
	cmd := &cobra.Command{
		Use:   "probe " + strings.Join(probes, "|"),
		Short: "Tell by exit code what load balancers are told",
		Long: `Asks the agent the question of that name, as a load balancer does by HTTP, and tells the answer
by its exit code: for checks that run a program, without a shell or curl, as a container's.

    goose     it is the goose, inside its lease
    duck      it is a duck that knows a live goose
    healthz   it lives, and its loop turns
    readyz    it knows a live goose

Exit codes: 0 yes, 1 no (stderr says why), 2 cannot tell (wrong usage, no agent, or no answer within --timeout).`,
		Example: `  ddgoose probe healthz
  HEALTHCHECK CMD ["/usr/bin/ddgoose", "probe", "healthz"]   # in a Dockerfile
  script "/usr/bin/ddgoose probe goose"                      # in keepalived's vrrp_script`,
		Args:      oneProbe,
		ValidArgs: probes,
		RunE:      func(cmd *cobra.Command, args []string) error { return o.probe(cmd.Context(), env, args[0]) },
	}
	o.flags(cmd, time.Second)
	o.jsonFlag(cmd)
	return cmd
}

// oneProbe wants one of the questions.
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
