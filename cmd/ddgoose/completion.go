package main

import (
	"strings"

	"github.com/spf13/cobra"
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
