package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

func newCompletionCommand(env *environment) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes command lines",
		Long: `Prints a script that lets your shell complete ddgoose's commands and flags.

Exit codes: 0 done, 2 wrong usage.`,
		Example:   "  source <(ddgoose completion bash)\n  ddgoose completion fish > ~/.config/fish/completions/ddgoose.fish",
		Args:      oneArgument("a shell", "bash"),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(env.stdout, true)
			case "zsh":
				return root.GenZshCompletion(env.stdout)
			case "fish":
				return root.GenFishCompletion(env.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(env.stdout)
			}
			return usage("shell %q: want one of %s", args[0], strings.Join(shells, ", "))
		},
	}
}

// completeWait bounds how long a shell waits for its list.
const completeWait = time.Second

// completeFlag sets the completion of a flag's value.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the flag exists, and has no other completion
	}
}

// socketNames lists the values of --socket on this machine; the shell completes paths.
func socketNames(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.Contains(typed, "/") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return client.Agents(), cobra.ShellCompDirectiveDefault
}

// fromAgent completes from the answer of the agent at --socket, if there is one.
func fromAgent(list func(context.Context, *client.Client) ([]cobra.Completion, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWait)
		defer cancel()
		path, err := client.FindSocket(cmd.Flags().Lookup("socket").Value.String())
		var several *client.SeveralError
		if errors.As(err, &several) { // agents of one flock give the same answer
			path, err = client.FindSocket(several.Names[0])
		}
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, _ := list(ctx, client.New(path)) // a completion cannot show errors
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

func electionNames(ctx context.Context, c *client.Client) (names []cobra.Completion, _ error) {
	all, err := c.Elections(ctx)
	for _, e := range all {
		switch {
		case e.Name == "": // the default election needs no flag
		case e.Goose == nil:
			names = append(names, cobra.CompletionWithDesc(e.Name, "no goose"))
		default:
			names = append(names, cobra.CompletionWithDesc(e.Name, "goose "+api.Printable(e.Goose.Name)))
		}
	}
	return names, err
}

// memberNames completes with the names of the members that want lets through.
func memberNames(want func(api.Member) bool) cobra.CompletionFunc {
	return fromAgent(func(ctx context.Context, c *client.Client) (names []cobra.Completion, _ error) {
		all, err := c.Members(ctx)
		for _, m := range all {
			if want(m) {
				names = append(names, cobra.CompletionWithDesc(m.Name, m.State+" "+m.Role))
			}
		}
		return names, err
	})
}

// memberTags completes with the tags that members have.
func memberTags(ctx context.Context, c *client.Client) ([]cobra.Completion, error) {
	all, err := c.Members(ctx)
	found := map[string]bool{}
	for _, m := range all {
		for k, v := range m.Tags {
			found[api.Printable(k+"="+v)] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), err
}

// flockNames completes with the agents of the local flock in --dir.
func flockNames(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWait)
	defer cancel()
	if len(args) == 0 {
		i, _ := driverAt(cmd.Flags().Lookup("dir").Value.String()).Info(ctx) // a completion cannot show errors
		for _, a := range i.Agents {
			names = append(names, a.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
