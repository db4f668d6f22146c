package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// rulesHelp is the grammar of fault rules, for the help of what takes them.
const rulesHelp = `RULES := RULE (';' RULE)*
RULE  := [out|in|both] PEER(,PEER)*: FAULT (' ' FAULT)*     PEER := * | name | address
FAULT := cut | loss P | loss gemodel P R [1-H [1-K]] | delay T [JITTER [CORRELATION]]
       | duplicate P | reorder P | corrupt P | rate R

The first rule that matches a direction and a peer decides.`

func newNetemCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "netem",
		Short: "Give an agent a bad network",
		Long: `Sets, shows and clears fault rules, in the words of tc-netem, on what this agent sends and
receives.

` + rulesHelp + "\n\n" + clientCodes,
		Example: "  ddgoose netem set '*: loss 30% delay 20ms 5ms' --for 10s\n  ddgoose netem show\n  ddgoose netem clear",
	}
	cmd.AddCommand(newNetemSetCommand(env), newNetemShowCommand(env), newNetemClearCommand())
	return cmd
}

func newNetemSetCommand(env *environment) *cobra.Command {
	var o clientOptions
	var lasts time.Duration
	cmd := o.command(&cobra.Command{
		Use:   "set RULES",
		Short: "Replace the fault rules",
		Long: `Replaces this agent's fault rules, for as long as --for says, and prints them.

` + rulesHelp + "\n\n" + clientCodes,
		Example: "  ddgoose netem set 'out b,c: cut; *: delay 10ms 2ms loss 1%' --for 30s",
		Args:    oneArgument("RULES, in quotes", "'*: loss 30%'"),
		RunE: func(_ *cobra.Command, args []string) error {
			return show(env, &o, func(c *client.Client, ctx context.Context) (api.Netem, error) {
				set, err := c.SetNetem(ctx, args[0], lasts)
				if err == nil {
					warnUnmatched(ctx, env, c)
				}
				return set, err
			}, printNetem)
		},
	}, 5*time.Second, o.jsonFlag)
	durationFlag(cmd.Flags(), &lasts, "for", "", "how long (default until cleared)")
	return cmd
}

// warnUnmatched passes on the agent's warning that its rules name nobody.
func warnUnmatched(ctx context.Context, env *environment, c *client.Client) {
	s, err := c.Status(ctx)
	if err != nil {
		return // the rules are set, which is what was asked for
	}
	for _, w := range s.Warnings {
		if strings.HasPrefix(w, api.NoMatch) {
			fmt.Fprintln(env.stderr, "ddgoose: warning: "+api.Printable(w))
		}
	}
}

func newNetemShowCommand(env *environment) *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "show",
		Short: "Show the fault rules in force",
		Long: `Shows this agent's fault rules, how long they stay in force, and their random seed.

` + clientCodes,
		Example: "  ddgoose netem show",
		RunE:    func(*cobra.Command, []string) error { return show(env, &o, (*client.Client).Netem, printNetem) },
	}, 5*time.Second, o.jsonFlag)
}

func newNetemClearCommand() *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "clear",
		Short: "End all faults",
		Long: `Ends all faults on this agent's network.

` + clientCodes,
		Example: "  ddgoose netem clear",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *client.Client) error { return c.ClearNetem(ctx) })
		},
	}, 5*time.Second)
}

func printNetem(out io.Writer, n api.Netem) error {
	rules, lasts := n.Rules, "until cleared"
	switch {
	case rules == "":
		_, err := fmt.Fprintln(out, "no fault rules")
		return err
	case n.ExpiresIn != nil:
		lasts = "for " + millis(*n.ExpiresIn*1000) + " more"
	}
	_, err := fmt.Fprintf(out, "%s\n  %s, seed %d\n", rules, lasts, n.Seed)
	return err
}

func newSimulateCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Simulate the death of an agent",
		Long: `Simulates a crash: the agent goes silent in both directions at once and everything that
works for the goose here is killed; its socket still answers, with role dead.

` + clientCodes,
		Example: "  ddgoose simulate death --for 10s\n  ddgoose simulate revive",
	}
	cmd.AddCommand(newDeathCommand(env), newReviveCommand())
	return cmd
}

func newDeathCommand(env *environment) *cobra.Command {
	var o clientOptions
	var lasts time.Duration
	cmd := o.command(&cobra.Command{
		Use:   "death",
		Short: "Go silent, as after a crash",
		Long: `Makes this agent go silent, as after a crash, until --for is over or ddgoose simulate revive.
Without --for it prints the command that revives it.

` + clientCodes,
		Example: "  ddgoose simulate death --for 10s",
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.ask(cmd.Context(), func(ctx context.Context, c *client.Client) error { return c.Die(ctx, lasts) })
			if err == nil && lasts == 0 {
				socket := map[string][]string{"socket": commandLine(cmd.Flags())["socket"]}
				_, err = fmt.Fprintln(env.stdout, "dead until revived:", pasteable("ddgoose simulate revive", socket))
			}
			return err
		},
	}, 5*time.Second)
	durationFlag(cmd.Flags(), &lasts, "for", "", "how long (default until revived)")
	return cmd
}

func newReviveCommand() *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "revive",
		Short: "Start again, as after a restart",
		Long: `Ends a simulated death: the agent reads its disk and starts again, as after a restart.

` + clientCodes,
		Example: "  ddgoose simulate revive",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *client.Client) error { return c.Revive(ctx) })
		},
	}, 5*time.Second)
}
