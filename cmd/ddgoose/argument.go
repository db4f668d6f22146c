package main

import "github.com/spf13/cobra"

// noArguments refuses arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments, only flags (it was given %q)", cmd.CommandPath(), args)
	}
	return nil
}

// oneArgument wants exactly one argument, and says which, with an example.
func oneArgument(what, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usage("%s takes %s, as in: %s %s (it was given %q)", cmd.CommandPath(), what, cmd.CommandPath(), example, args)
		}
		return nil
	}
}
