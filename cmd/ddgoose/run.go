package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/client"
	runner "duckduckgoose/cmd/ddgoose/run"
)

type runOptions struct {
	socket   string
	election string
	grace    time.Duration
	restart  bool
	share    bool
}

func newRunCommand(env *environment) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [--grace 5s] [--restart] [--share] -- CMD ARG...",
		Short: "Run a command while this agent is the goose",
		Long: `Runs CMD, without a shell, whenever the agent on this machine is the goose, and ends it and all
that it has started before another agent can be. CMD finds in its environment DDGOOSE_TOKEN (the
fencing token: send it along with every act, see ddgoose fence), DDGOOSE_TERM, DDGOOSE_FLOCK_ID,
DDGOOSE_NAME and DDGOOSE_SOCKET, with --election DDGOOSE_ELECTION, and has this command's stdin, stdout and stderr. It runs in a process group of
its own, in the background of a terminal: Ctrl-C is this command's to hear, and CMD cannot read a terminal.

The lease is not renewed (the agent, its socket or this command is dead or stopped, or the
majority is out of reach): SIGTERM when 40 % of it are left, SIGKILL at 20 %. Planned ends (step-down, the agent
stops, SIGTERM or SIGINT to this command): SIGTERM, then SIGKILL after --grace, the lease
renewed meanwhile, and nobody is asked to take over until all is gone; for an hour at the most. This command killed: SIGKILL.
All descendants go, those of a double fork or setsid too; a daemon that CMD leaves behind ends with CMD.

Two of these commands beside one agent and election run their CMDs one at a time: the second waits for the
first to end. With --share they run together.

CMD ends by itself: the agent steps down, and this command ends with CMD's exit code. With --restart it is
started again in the same goose period, after 1 to 30 s. Goose no more: CMD is stopped, and this command waits for
the next time. No agent answers: it waits for one, for ever. SIGTERM or SIGINT: CMD is stopped, the agent steps
down, exit 0; a second one cuts the grace short.

Exit codes: CMD's own (128 + N when signal N ended it), 126 CMD cannot be started, 127 there is no CMD,
0 stopped by a signal, 1 the agent refuses (only root and the agent's user may, and the flock must have the
election), 2 wrong usage.`,
		Example: `  ddgoose run -- /usr/local/bin/nightly-report
  ddgoose run --election nightly-backup -- /usr/local/bin/backup
  ddgoose run --restart --grace 20s -- postgres-backup --loop
  ddgoose run -- sh -c 'ssh store ddgoose fence --file /srv/token --token $DDGOOSE_TOKEN -- /srv/rotate'`,
		Args: cobra.ArbitraryArgs, // refused by run, which knows what would be right
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), env, args) },
	}
	cmd.Flags().SetInterspersed(false) // CMD's flags are its own, also without --
	cmd.Flags().StringVar(&o.socket, "socket", "", "the agent's socket: a `PATH`, or a name without a slash; default: DDGOOSE_SOCKET, else the only one that runs here")
	electionFlag(cmd, &o.election, &o.socket)
	cmd.Flags().DurationVar(&o.grace, "grace", 5*time.Second, "how long CMD may take to end after SIGTERM, when the end is planned")
	cmd.Flags().BoolVar(&o.restart, "restart", false, "start CMD again when it ends by itself, after 1 to 30 s")
	cmd.Flags().BoolVar(&o.share, "share", false, "let CMD run beside the command of another ddgoose run at this agent and election")
	return cmd
}

func (o *runOptions) run(ctx context.Context, env *environment, command []string) error {
	switch {
	case len(command) == 0:
		return usage("run: name a command: ddgoose run -- CMD ARG...")
	case o.grace < 0:
		return usage("grace %v: want 0s or more", o.grace)
	}
	if _, err := exec.LookPath(command[0]); err != nil && !errors.Is(err, exec.ErrDot) {
		return notStarted(err)
	}
	socket, err := client.FindSocket(o.socket)
	if err != nil {
		return cannotTell(err)
	}
	opts := runner.Options{
		Socket: socket, Election: o.election, Command: command, Grace: o.grace, Restart: o.restart, Share: o.share,
		Guard: append([]string{"ddgoose", guardCommand, "--"}, command...),
	}
	if opts.Stdin, opts.Stdout, opts.Stderr, err = env.streams(); err != nil {
		return err
	}
	queueMessages(env)
	opts.Messages = env.stderr
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, runner.StopSignals()...)
	defer signal.Stop(signals)
	opts.Signals = signals
	code, err := runner.Run(ctx, opts)
	if err != nil || code == exitDone {
		return err
	}
	return quietly(code)
}

// queueMessages keeps what is said to people from holding up run or its guard.
func queueMessages(env *environment) {
	env.queueStderr(func(lines uint64) {
		fmt.Fprintf(env.stderr, "ddgoose: run: %d messages were dropped: the reader of stderr stalled or failed\n", lines)
	})
}

// streams are what another process can be given as its own.
func (env *environment) streams() (stdin, stdout, stderr *os.File, err error) {
	stdin, ok1 := env.stdin.(*os.File)
	stdout, ok2 := env.out().(*os.File)
	stderr, ok3 := env.stderr.(*os.File)
	if !ok1 || !ok2 || !ok3 {
		return nil, nil, nil, errors.New("a command can be handed files only, and stdin, stdout or stderr is none")
	}
	return stdin, stdout, stderr, nil
}

// guardCommand is the command that run starts its guard by.
const guardCommand = "run-guard"

// newRunGuardCommand is for run alone.
func newRunGuardCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:    guardCommand + " -- CMD ARG...",
		Short:  "Guard the command of ddgoose run",
		Hidden: true,
		Long: fmt.Sprintf(`Guards the command of ddgoose run, which starts it, at file descriptor %d.

Exit codes: 0 done, 1 ddgoose run did not start it.`, runner.LinkFD),
		Example: "  ddgoose run -- CMD",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, command []string) error {
			queueMessages(env)
			if code := runner.Guard(command, env.stderr); code != exitDone {
				return quietly(code)
			}
			return nil
		},
	}
}
