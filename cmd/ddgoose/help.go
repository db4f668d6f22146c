package main

import "github.com/spf13/cobra"

// newHelpCommand is help, but for a command that does not exist it is an error.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Tell about a command",
		Long: `Tells what a command does, its flags and its exit codes.

Exit codes: 0 done, 2 there is no such command.`,
		Example: "  ddgoose help netem set",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = group(found)(found, rest)
			}
			if err != nil {
				return usage("%w", err)
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}
