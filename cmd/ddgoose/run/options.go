package run

import (
	"io"
	"net/netip"
	"os"
	"time"
)

// Work says what acts for the goose, and how it ends.
type Work struct {
	Name     string // of the command that people started, for messages
	Kind     string // runs of one kind, agent and election work one at a time, unless Share; "": api.DefaultKind
	Socket   string // the agent's
	Election string // the election whose goose the agent must be; "": the default one
	// Device gets Addresses, and no CMD runs; "": CMD runs.
	Device    string
	Addresses []netip.Prefix
	// Container is run in CMD's place by its engine, Docker or Podman, or Unit by systemd.
	Container, Unit string
	// Grace is how long CMD may take to end after SIGTERM before SIGKILL, when
	// the end is planned; the agent is told of it, and renews the lease for as
	// long, an hour at the most. A lease that is not renewed cuts it short. 0:
	// SIGKILL at once.
	Grace time.Duration
	// Restart starts CMD again when it ends by itself, after 1 to 30 s.
	Restart bool
	// Share lets CMD work beside those of other runs at the same agent and election.
	Share bool
	// Try gives up once CMD could not run for this long because the agent is not
	// the goose; nil: never. 0: CMD runs if it is the goose now, and once.
	Try *time.Duration
	// Keep leaves the goose where it is when CMD or this run ends.
	Keep bool
	// Slot has CMD begin at most once, and at most one CMD of the flock in each slot of
	// UTC time of this length, counted from 1970; 0: no slots. Jitter waits a random time up
	// to this long before, within the slot.
	Slot, Jitter time.Duration
	// Quiet suppresses messages about waiting.
	Quiet bool
	// EnvFile gets CMD's DDGOOSE_ variables before each start, for containers and units, which
	// inherit no environment; "": none.
	EnvFile string
}

// onlyOnce reports whether CMD is not started again after it was stopped.
func (w *Work) onlyOnce() bool { return w.Try != nil && *w.Try == 0 || w.Slot > 0 }

// Options say how to run the work.
type Options struct {
	Work
	// Guard is the command line that makes this program call Guard. It ends with CMD.
	Guard []string
	// Stdin, Stdout and Stderr are passed to CMD as they are.
	Stdin, Stdout, Stderr *os.File
	// Messages gets messages for people. It must never block.
	Messages io.Writer
	// Signals end the run: the first as planned, the second without grace, the
	// third without telling the agent. A signal that Repeat recognizes does not count.
	Signals <-chan os.Signal
}

// LinkFD is the file descriptor of a guard's link to run.
const LinkFD = 3

// The exit codes of Run and Guard, besides CMD's own.
const (
	CodeStopped    = 0   // stopped by a signal
	CodeNotGoose   = 75  // not the goose within Try, or the slot is taken (EX_TEMPFAIL of sysexits.h)
	CodeNotRunable = 126 // CMD exists and cannot be started
	CodeNotFound   = 127 // there is no CMD
)

// codeOfSignal returns the exit code that shells give for a command that a signal ended.
const codeOfSignal = 128

const (
	termLeft     = 0.40 // of a lease that is not renewed: SIGTERM (package lead cancels there)
	killLeft     = 0.20 // SIGKILL
	takeoverLeft = 0.10 // run takes over from a guard that says nothing

	// cleanupTime is what a guard asks the agent for beyond CMD's grace: what is killed
	// then needs a moment to be gone, and a thousand processes need seconds.
	cleanupTime = 10 * time.Second

	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second
)

// share returns a part of a lease.
func share(length time.Duration, part float64) time.Duration {
	return time.Duration(float64(length) * part)
}
