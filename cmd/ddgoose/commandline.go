package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"duckduckgoose/agent/api"
)

// commandLine keeps the flags that were given.
func commandLine(flags *pflag.FlagSet) map[string][]string {
	line := map[string][]string{}
	flags.VisitAll(func(f *pflag.Flag) {
		if g, ok := f.Value.(givenFlag); ok && f.Changed {
			line[f.Name] = g.given()
		}
	})
	return line
}

// with returns the command line with one flag changed; it does not change line.
func with(line map[string][]string, flag string, words ...string) map[string][]string {
	changed := map[string][]string{}
	maps.Copy(changed, line)
	changed[flag] = words
	return changed
}

// pasteable returns a command line quoted for a shell.
func pasteable(command string, line map[string][]string, args ...string) string {
	last := []string{"join", "bind", "name"} // the first ones, from the third on
	names := slices.SortedFunc(maps.Keys(line), func(a, b string) int {
		return cmp.Or(slices.Index(last, b)-slices.Index(last, a), strings.Compare(a, b))
	})
	for _, name := range names {
		for _, w := range line[name] {
			command += " --" + name
			if w == "true" || w == "false" {
				command += "=" + w // a boolean flag takes no separate word
			} else {
				command += " " + api.Quoted(w)
			}
		}
	}
	for _, arg := range args {
		command += " " + api.Quoted(arg)
	}
	return command
}

// noArguments refuses arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments, only flags (it was given %q)", cmd.CommandPath(), args)
	}
	return nil
}

// oneArgument requires exactly one argument, and names it with an example.
func oneArgument(what, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usage("%s takes %s, as in: %s %s (it was given %q)", cmd.CommandPath(), what, cmd.CommandPath(), example, args)
		}
		return nil
	}
}
