package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// environment is the part of the process that a command uses.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	version        string
	commit, date   string                           // what it was built from; "": not known
	lookup         func(name string) (string, bool) // an environment variable

	// running: the command line was accepted, and a command's run has begun.
	running bool
}

// newRootCommand registers every command.
func newRootCommand(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "ddgoose",
		Short: "Elects one goose among your machines, and says who it is",
		Long: `ddgoose elects one goose (the leader) among agents on your machines, and
tells programs which one it is: by exit code, by HTTP over a unix socket, and by tokens that only grow.

Exit codes: 0 done, 1 error (one line on stderr), 2 wrong usage or cannot tell.`,
		Example: `  ddgoose flock                        # five agents on this machine, shown live
  ddgoose agent --join 10.0.0.1        # one agent, as a service runs it
  ddgoose status                       # who is the goose, and for how long`,
		PersistentPreRun: func(*cobra.Command, []string) {
			env.running = true
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w (%s --help lists the flags)", err, cmd.CommandPath())
	})
	root.SetHelpCommand(newHelpCommand())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Run:", []*cobra.Command{newAgentCommand(env), newKeygenCommand(env), newRunCommand(env), newVIPCommand(env), newProxyCommand(env), newFenceCommand(env)}},
		{"Ask an agent:", []*cobra.Command{
			newStatusCommand(env), newMembersCommand(env), newWatchCommand(env), newHistoryCommand(env), newElectionsCommand(env), newTopCommand(env),
			newIsGooseCommand(env), newProbeCommand(env), newWaitCommand(env), newDoctorCommand(env), newWhyCommand(env),
		}},
		{"Change the flock:", []*cobra.Command{
			newStepDownCommand(env), newFreezeCommand(env), newThawCommand(env), newLeaveCommand(env), newForceLeaveCommand(env),
			newJoinCommand(env), newKeysCommand(env), newRecoverCommand(env),
		}},
		{"Try faults on an agent:", []*cobra.Command{newSimulateCommand(env), newNetemCommand(env)}},
		{"Try and measure on this machine:", []*cobra.Command{newFlockCommand(env), newBenchCommand(env), newSoakCommand(env), newSimCommand(env)}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for _, cmd := range group.commands {
			cmd.GroupID = group.title
		}
		root.AddCommand(group.commands...)
	}
	root.AddCommand(newRunGuardCommand(env), newCompletionCommand(env), newManCommand(env), newVersionCommand(env))
	fallBack(root)
	// Cobra's own flag takes a template, and templates keep every exported method in the program.
	asked := root.Flags().BoolP("version", "v", false, "version for ddgoose")
	refuse := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if *asked {
			_, err := fmt.Fprint(env.stdout, versionLine(env))
			return err
		}
		if len(args) == 0 {
			return cmd.Help()
		}
		return refuse(cmd, args)
	}
	return root
}

// fallBack sets the defaults of cmd and all commands below it: a command that only groups
// others refuses to run, the others refuse arguments.
func fallBack(cmd *cobra.Command) {
	switch {
	case cmd.RunE == nil:
		cmd.RunE, cmd.Args = group(cmd), cobra.ArbitraryArgs // refused by group, which knows what would be right
	case cmd.Args == nil && cmd.HasSubCommands():
		cmd.Args = func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return group(cmd)(cmd, args)
		}
	case cmd.Args == nil:
		cmd.Args = noArguments
	}
	for _, c := range cmd.Commands() {
		fallBack(c)
	}
}

// group returns a run function that refuses, and names the commands below cmd.
func group(cmd *cobra.Command) func(*cobra.Command, []string) error {
	return func(_ *cobra.Command, args []string) error {
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		all := strings.Join(names, " ")
		if len(args) == 0 {
			return usage("%s wants a command: %s (%s --help tells more)", cmd.CommandPath(), all, cmd.CommandPath())
		}
		cmd.SuggestionsMinimumDistance = 2 // letters
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return usage("%s has no command %q: did you mean %s?", cmd.CommandPath(), args[0], strings.Join(near, " or "))
		}
		return usage("%s has no command %q: it has %s", cmd.CommandPath(), args[0], all)
	}
}

// newHelpCommand makes help, which fails for a command that does not exist.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Long: `Shows what a command does, its flags and its exit codes.

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
