package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/client"
	runner "duckduckgoose/cmd/ddgoose/run"
)

func newRunCommand(env *environment) *cobra.Command {
	w := runner.Work{Name: "run"}
	cmd := &cobra.Command{
		Use:   "run [--try D] [--keep] [--grace 5s] [--restart] [--share] -- CMD ARG...\n  ddgoose run --container NAME|--unit NAME.service [--env-file PATH] [flags]",
		Short: "Run a command while this agent is the goose",
		Long: `Runs CMD, without a shell, while the agent on this machine is the goose. CMD and all that it has started are
gone before another agent can be the goose.

A job, to run once in the flock at each tick: put the same line into the crontab of every machine, with --try 0s
--keep. cron sets few environment variables: name this program by its path and, in a plain user's crontab, the socket of
the machine's agent (--socket PATH). --try D gives up with exit code 75 if CMD cannot run within D: another agent is the
goose, another run works beside this agent, or no agent answers. With 0s CMD runs only if this agent is the goose now,
and starts at most once. If CMD was started and then stopped because the goose changed, D starts again; with 0s the exit
code is 75, and a line on stderr says so, even with -q. --keep leaves the goose where it is when this command ends, so
that no other machine runs the same job.

--slot D runs CMD at most once per slot of D in the whole flock, however often the goose changes and however the clocks
differ: before CMD starts, the goose commits the slot's number (since 1970, UTC; DDGOOSE_SLOT) with a majority of the
voters. Exit code 75 says that the slot is taken. A slot whose goose dies after that is left out, and CMD is not
started again. A clock more than two slots ahead of most voters' takes no slot: exit code 1. --jitter D first waits a
random time, at most until the slot ends. Use one --election for each job with --slot.

A service, to run as long as this agent is the goose: use --restart. It starts CMD again after 1 to 30 s when CMD ends
by itself. Without --restart and --keep the agent then steps down, this command ends with CMD's exit code, and the
next agent whose run waits starts its CMD. When this agent is no longer the goose, CMD is stopped, and this command
waits for the next time. If no agent answers, it waits for one. It says what it waits for; -q keeps it silent.

CMD gets DDGOOSE_TOKEN (the fencing token: send it with each write, see ddgoose fence), DDGOOSE_TERM, DDGOOSE_FLOCK_ID,
DDGOOSE_NAME, DDGOOSE_SOCKET and, with --election, DDGOOSE_ELECTION, and this command's stdin, stdout and stderr. It
runs in its own process group, in the background: Ctrl-C goes to this command, and CMD cannot read the terminal.

When CMD ends:
  the lease is not renewed (the agent, its socket or this command is dead or stopped, or the majority cannot be
  reached): SIGTERM when 40 % of the lease are left, SIGKILL at 20 %;
  a planned end (step-down, stop of the agent, SIGTERM or SIGINT to this command): SIGTERM, then SIGKILL after --grace.
  The lease is renewed meanwhile, for up to an hour; only when all is gone does another agent take over;
  this command is killed: SIGKILL.
After SIGTERM or SIGINT to this command the agent steps down, and the exit code is 0; a second signal cuts the grace short.

All descendants are killed, also after a double fork or setsid; a daemon that CMD leaves behind ends with CMD. As root,
or in a unit with Delegate=yes, this command makes a cgroup (version 2, Linux 5.14), and one write kills all at once.
Elsewhere it kills one by one, so thousands of processes end earlier in the lease, and CMD gains no privileges by sudo
unless this command runs as root. As root (or with CAP_SYS_NICE) this command and its guard, not CMD, run at nice -20.
They measure how late the machine wakes them, and kill that much earlier. If that is too late for any lease, the agent
steps down, and this command waits until the machine is faster. Root's CMD is killed in time at any priority; that of a
plain user may end late if it has a low one (nice) and the machine is busy.

Two of these commands beside one agent and election run one at a time: the second waits for the first. With --share
they run together.

--container NAME runs a container of Docker or Podman (DOCKER_HOST=unix://PATH, else the usual sockets) instead of CMD.
Create it before, without a restart policy; only this command may start it. It ends at the same times: the engine stops
it, then engine and cgroup kill it, and it is gone when both say so. If it runs already at the start, it is stopped
first. A container keeps the environment of its creation: --env-file PATH writes the variables to a file before each
start; mount its folder. --unit NAME.service runs a service of systemd, and ends it by StopUnit, KillUnit and its cgroup.
Nothing else may start the service: no Restart=, not enabled, no timer, no unit that wants it. EnvironmentFile= reads the
file of --env-file.

Exit codes: CMD's own (128 + N when signal N ended it), 126 CMD cannot be started, 127 there is no CMD,
0 stopped by a signal, 75 not the goose within --try or the slot is taken, 1 the agent refuses (only root and the agent's user may, the
flock must have the election, and the clock must be right for --slot), 2 wrong usage.`,
		Example: `  ddgoose run --restart --grace 20s -- /usr/local/bin/the-one-that-acts   # a service
  17 3 * * * /usr/local/bin/ddgoose run --try 0s --keep -q -- /usr/local/bin/backup   # a job, in the crontab of every machine
  * * * * * /usr/local/bin/ddgoose run --try 0s --keep --slot 1m -q -- /usr/local/bin/report   # a job, at most once a minute
  ddgoose run --restart --container web --env-file /run/web/goose.env     # docker create --name web -v /run/web:/run/web:ro IMAGE
  ddgoose run --restart --unit web.service --env-file /run/web.env        # EnvironmentFile=/run/web.env in the unit
  ddgoose run --election reports --try 10s --keep -- /usr/local/bin/nightly-report
  ddgoose run --try 0s --keep -- sh -c 'ssh store ddgoose fence --file /srv/token --token $DDGOOSE_TOKEN -- /srv/rotate'`,
		Args: cobra.ArbitraryArgs, // refused by run, which knows what would be right
		RunE: func(cmd *cobra.Command, args []string) error { return runWork(cmd.Context(), env, w, args) },
	}
	cmd.Flags().SetInterspersed(false) // CMD's flags are its own, also without --
	socketFlag(cmd, &w.Socket)
	electionFlag(cmd, &w.Election)
	flagVar(cmd.Flags(), &w.Grace, "grace", "5s", "duration", "how long CMD may take to end after SIGTERM, when the end is planned", timeOf(0, "10s"))
	cmd.Flags().BoolVar(&w.Restart, "restart", false, "start CMD again when it ends by itself, after 1 to 30 s")
	cmd.Flags().BoolVar(&w.Share, "share", false, "let CMD run beside the command of another ddgoose run at this agent and election")
	flagVar(cmd.Flags(), &w.Try, "try", "", "D", "give up (exit 75) when CMD cannot run within `D`; 0s: run it only if this agent is the goose now; default: never", parseTry)
	cmd.Flags().BoolVar(&w.Keep, "keep", false, "leave the goose where it is when CMD ends: do not step down")
	flagVar(cmd.Flags(), &w.Slot, "slot", "", "D", "run CMD at most once in the flock per slot of UTC time `D` long, 1s or more (exit 75: the slot is taken); default: no slots", timeOf(time.Second, "1m"))
	flagVar(cmd.Flags(), &w.Jitter, "jitter", "", "D", "with --slot: wait a random time up to `D` first, within the slot", timeOf(0, "10s"))
	cmd.Flags().BoolVarP(&w.Quiet, "quiet", "q", false, "say nothing about waiting or giving up")
	cmd.Flags().StringVar(&w.Container, "container", "", "run the container `NAME` of Docker or Podman in CMD's place")
	cmd.Flags().StringVar(&w.Unit, "unit", "", "run systemd's service `NAME.service` in CMD's place")
	cmd.Flags().StringVar(&w.EnvFile, "env-file", "", "write CMD's DDGOOSE variables to `PATH` before it starts, readable by its owner alone")
	return cmd
}

func parseTry(s string) (*time.Duration, error) {
	d, err := timeOf(0, "10s")(s)
	return &d, err
}

// commandOf returns the end of the guard's command line: CMD, or a description for ps.
func commandOf(w runner.Work, args []string) ([]string, error) {
	switch {
	case w.Container != "" && w.Unit != "" || w.Container+w.Unit != "" && len(args) > 0:
		return nil, usage("run: want one of a command, --container and --unit")
	case w.Container != "":
		return []string{"container", w.Container}, nil
	case w.Unit != "" && !strings.HasSuffix(w.Unit, ".service"):
		return nil, usage("unit %s: want NAME.service", w.Unit)
	case w.Unit != "":
		return []string{"unit", w.Unit}, nil
	case len(args) == 0:
		return nil, usage("run: name a command: ddgoose run -- CMD ARG...")
	}
	_, err := exec.LookPath(args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return nil, notStarted(err)
	}
	return args, nil
}

// betterForm names the flag to use instead of a command that asks a manager to run something:
// the manager's processes are not descendants of the command, and outlive it.
func betterForm(command string) string {
	switch name := filepath.Base(command); name {
	case "docker", "podman", "nerdctl":
		return name + " has its engine run containers, which do not end with the command: use ddgoose run --container NAME"
	case "systemctl", "service":
		return name + " has systemd run services, which do not end with the command: use ddgoose run --unit NAME.service"
	}
	return ""
}

// slotFault returns what is wrong with --slot and --jitter; nil: nothing.
func slotFault(w runner.Work) error {
	switch {
	case w.Jitter > 0 && w.Slot == 0:
		return usage("jitter %v: want --slot with it", w.Jitter)
	case w.Jitter > w.Slot:
		return usage("jitter %v: want at most the slot, %v", w.Jitter, w.Slot)
	case w.Slot > 0 && w.Restart:
		return usage("run: want one of --slot and --restart: a slot is for one run")
	}
	return nil
}

func runWork(ctx context.Context, env *environment, w runner.Work, args []string) error {
	if err := slotFault(w); err != nil {
		return err
	}
	command, err := commandOf(w, args)
	if err != nil {
		return err
	}
	if better := betterForm(command[0]); better != "" {
		fmt.Fprintln(env.stderr, "ddgoose: run: "+better)
	}
	w.Socket, err = client.FindSocket(w.Socket)
	switch {
	case errors.Is(err, client.ErrNoSocket) && w.Try != nil:
		return gaveUp(w, err)
	case err != nil:
		return cannotTell(err)
	}
	return guarded(ctx, env, w, command)
}

// guarded has a guard process do the work until the work ends or a signal arrives. argv is
// the end of the guard's command line.
func guarded(ctx context.Context, env *environment, w runner.Work, argv []string) (err error) {
	opts := runner.Options{Work: w, Guard: append([]string{"ddgoose", guardCommand, "--"}, argv...)}
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
	switch {
	case code == runner.CodeNotGoose && err != nil:
		return gaveUp(w, err)
	case err != nil || code == exitDone:
		return err
	}
	return quietly(code)
}

// gaveUp returns the error for work that could not begin within --try.
func gaveUp(w runner.Work, why error) error {
	if w.Quiet {
		return quietly(runner.CodeNotGoose)
	}
	return &codedError{runner.CodeNotGoose, why}
}

// queueMessages queues messages, so that a slow reader of stderr delays neither run nor its guard.
func queueMessages(env *environment) {
	env.queueStderr(func(lines uint64) {
		fmt.Fprintf(env.stderr, "ddgoose: run: %d messages were dropped: the reader of stderr stalled or failed\n", lines)
	})
}

// streams returns stdin, stdout and stderr as files, which a child process can inherit.
func (env *environment) streams() (stdin, stdout, stderr *os.File, err error) {
	stdin, ok1 := env.stdin.(*os.File)
	stdout, ok2 := env.out().(*os.File)
	stderr, ok3 := env.stderr.(*os.File)
	if !ok1 || !ok2 || !ok3 {
		return nil, nil, nil, errors.New("stdin, stdout and stderr must be files that a command can inherit")
	}
	return stdin, stdout, stderr, nil
}

// guardCommand is the hidden command by which run and vip start their guard.
const guardCommand = "run-guard"

// newRunGuardCommand makes the guard's command. People do not use it.
func newRunGuardCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:    guardCommand + " -- CMD ARG...",
		Short:  "Guard what ddgoose run or vip does",
		Hidden: true,
		Long: fmt.Sprintf(`The guard process of ddgoose run and ddgoose vip, which start it and talk to it by file descriptor %d.

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
