package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/fence"
	runner "duckduckgoose/cmd/ddgoose/run"
)

// The exit codes of fence besides CMD's own, chosen so that few programs use them.
const (
	exitRefused     = 122 // a newer token has been seen, or one of another flock
	exitWaited      = 124 // an older command still ran after --wait; timeout(1) uses the same code
	exitNoFence     = 125 // the fence itself failed
	exitNotRunnable = runner.CodeNotRunable
	exitNoCommand   = runner.CodeNotFound
	exitSignalled   = 128 // + the signal
)

type fenceOptions struct {
	file    string
	token   uint64
	flockID string
	wait    time.Duration
	force   bool
}

func newFenceCommand(env *environment) *cobra.Command {
	var o fenceOptions
	cmd := &cobra.Command{
		Use:   "fence --file STATE --token N [--flock-id ID] [--wait 30s] [--force] -- CMD ARG...",
		Short: "Run a command unless its token is too old",
		Long: `Runs CMD only if the file STATE has seen no token higher than N. Use it on the machine that the goose acts
upon: a former goose that was paused, or whose command was slow to arrive, then does no harm. An equal token
passes. N is on the disk as the highest token before CMD starts.

Commands run one at a time. The fence stays closed while CMD runs, or a process that CMD has started and that
inherited the fence's lock, even if this command is killed. A newer token closes the fence to older ones at once,
and then waits for a running command to end, for --wait at most. If a still newer token comes while a command
waits, that command is refused.

A token more than a million terms or 64 generations above the highest seen counts as a mistake, because it would
shut every real goose out. It is refused; --force accepts it. STATE may be a symbolic link. A file with several
hard links is refused.

The defaults of --token and --flock-id are DDGOOSE_TOKEN and DDGOOSE_FLOCK_ID, which ddgoose run sets.

Exit codes: CMD's own (128 + N when signal N ended it), 122 refused: a newer token has been seen, or one of
another flock, or the token is too far ahead; 124 an older command still ran after --wait, 125 STATE cannot be
read or written, or is corrupt, 126 CMD cannot be started, 127 there is no CMD, 2 wrong usage.`,
		Example: `  ddgoose fence --file /srv/backup/token --token 7 -- /srv/backup/rotate
  ddgoose run --try 0s --keep -- sh -c 'ssh store ddgoose fence --file /srv/token --token $DDGOOSE_TOKEN --flock-id $DDGOOSE_FLOCK_ID -- /srv/rotate'`,
		Args: cobra.ArbitraryArgs, // run refuses wrong arguments with a better error
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), env, cmd.Flags().Changed, args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // CMD's flags are its own, also without --
	stringFlag(flags, &o.file, "file", "", "STATE", "the file that keeps the highest token; made if missing, with STATE.lock and STATE.work beside it")
	flagVar(flags, &o.token, "token", "", "N", "the caller's fencing token (default DDGOOSE_TOKEN)", parseToken)
	stringFlag(flags, &o.flockID, "flock-id", "", "ID", "refuse tokens of another flock (default DDGOOSE_FLOCK_ID)")
	durationFlag(flags, &o.wait, "wait", "", "how long to wait for an older command to end (default without limit)")
	boolFlag(flags, &o.force, "force", "accept a token far above the highest seen")
	return cmd
}

func parseToken(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n > fence.MaxToken {
		return 0, fmt.Errorf("want a number from 1 to %d, as DDGOOSE_TOKEN and is-goose give it", uint64(fence.MaxToken))
	}
	return n, nil
}

func (o *fenceOptions) run(ctx context.Context, env *environment, given func(string) bool, command []string) error {
	if s, ok := env.lookup("DDGOOSE_TOKEN"); ok && !given("token") {
		var err error
		if o.token, err = parseToken(s); err != nil {
			return usage("DDGOOSE_TOKEN %q: %w", s, err)
		}
	}
	if id, ok := env.lookup("DDGOOSE_FLOCK_ID"); ok && !given("flock-id") {
		o.flockID = id
	}
	switch {
	case o.file == "":
		return usage("fence: name the file that keeps the highest token: --file STATE")
	case o.token == 0:
		return usage("fence: give the caller's token: --token N, or DDGOOSE_TOKEN")
	case len(command) == 0:
		return usage("fence: name a command: ddgoose fence --file STATE --token N -- CMD ARG...")
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return notStarted(err)
	}
	if o.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.wait, fmt.Errorf("waited %v (--wait)", o.wait))
		defer cancel()
	}
	entry, err := fence.File{Path: o.file, FlockID: o.flockID, Force: o.force}.Enter(ctx, o.token)
	switch {
	case errors.Is(err, fence.ErrImplausible):
		return &codedError{exitRefused, fmt.Errorf("%w (--force lets it pass)", err)}
	case errors.Is(err, fence.ErrStale), errors.Is(err, fence.ErrFlock):
		return &codedError{exitRefused, err}
	case err != nil && ctx.Err() != nil:
		return &codedError{exitWaited, err}
	case err != nil:
		return &codedError{exitNoFence, err}
	}
	defer entry.Close()
	return env.perform(&exec.Cmd{Path: path, Args: command, ExtraFiles: []*os.File{entry.Lock}})
}

// perform runs a command and returns its exit code. It passes on signals that were sent to this
// process alone.
func (env *environment) perform(cmd *exec.Cmd) error {
	var err error
	if cmd.Stdin, cmd.Stdout, cmd.Stderr, err = env.streams(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, runner.StopSignals()...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return notStarted(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s != os.Interrupt { // a terminal sends it to both
				_ = cmd.Process.Signal(s) // it may have ended
			}
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return fmt.Errorf("wait for %s: %w", cmd.Path, err)
			}
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			switch {
			case ok && status.Signaled():
				return quietly(exitSignalled + int(status.Signal()))
			case !cmd.ProcessState.Success():
				return quietly(cmd.ProcessState.ExitCode())
			}
			return nil
		}
	}
}

// notStarted returns the exit code that shells use for a command that cannot be
// started.
func notStarted(err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return &codedError{exitNoCommand, err}
	}
	return &codedError{exitNotRunnable, err}
}
