package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/schedule"
)

// act is how a word of the schedules harms processes.
type act struct {
	do   func(*driver, context.Context, *flock.Agent, *schedule.Op, *Struck) error
	undo func(*driver, *flock.Agent) error // after the time in the schedule; nil: it ends at once

	network string // the part of the network that it harms; "": an agent
	beside  bool   // it harms work beside the goose, not the agent
	ends    bool   // its process ends
}

// The parts of the network.
const (
	links   = "links"
	packets = "packets"
)

// acts has all words of the schedules that harm processes.
var acts = map[string]act{
	"crash":        {do: (*driver).kill, undo: (*driver).start, ends: true},
	"wipe":         {do: (*driver).wipe, undo: (*driver).start, ends: true},
	"stop":         {do: (*driver).stop, undo: (*driver).start, ends: true},
	"leave":        {do: (*driver).leave, undo: (*driver).start, ends: true}, // with --join, as always
	"pause":        {do: (*driver).pause, undo: (*driver).resume},
	"suspend":      {do: (*driver).suspend, undo: (*driver).wake},
	"die":          {do: (*driver).die, undo: (*driver).revive},
	"step-down":    {do: (*driver).stepDown, beside: true},
	"pause-writer": {do: (*driver).pauseWriter, undo: (*driver).resumeWriter, beside: true},
	"kill-writer":  {do: (*driver).killWriter, beside: true},
	"partition":    {do: (*driver).partition, undo: (*driver).heal, network: links},
	"flap":         {do: (*driver).flap, undo: (*driver).heal, network: links},
	"netem":        {do: (*driver).rules, undo: (*driver).clear, network: packets},
}

func (d *driver) kill(_ context.Context, a *flock.Agent, _ *schedule.Op, _ *Struck) error {
	return d.f.Hold(context.Background(), a.Name)
}

func (d *driver) start(a *flock.Agent) error { return d.f.Start(a.Name) }

func (d *driver) wipe(ctx context.Context, a *flock.Agent, o *schedule.Op, r *Struck) error {
	if err := d.kill(ctx, a, o, r); err != nil {
		return err
	}
	if err := os.RemoveAll(a.Data); err != nil {
		return fmt.Errorf("lose the disk of %s: %w", a.Name, err)
	}
	return nil
}

func (d *driver) stop(_ context.Context, a *flock.Agent, _ *schedule.Op, _ *Struck) error {
	gone := a.Gone()
	if err := a.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return d.ends(a, gone)
}

func (d *driver) leave(ctx context.Context, a *flock.Agent, _ *schedule.Op, _ *Struck) error {
	gone := a.Gone()
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if err := a.Client().Leave(ask, false); err != nil {
		if ask.Err() == nil {
			return err // it was refused, and the agent stays
		}
		// The agent keeps trying, even if nobody waits. A restart ends that.
		return errors.Join(err, d.f.Hold(context.Background(), a.Name), d.f.Start(a.Name))
	}
	return d.ends(a, gone)
}

// endLimit is how long an agent may take to end after it was told to.
const endLimit = 20 * time.Second

// ends waits for a process that was told to end. If it ends with an error, or too late,
// that counts as a crash.
func (d *driver) ends(a *flock.Agent, gone <-chan struct{}) error {
	timer := time.NewTimer(endLimit)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
		d.crashed(a, fmt.Sprintf("it has not ended %v after it was told to", endLimit))
		return d.f.Hold(context.Background(), a.Name)
	}
	if err := a.ExitError(); err != nil {
		d.crashed(a, "it was told to end, and ended with "+err.Error())
	}
	return nil
}

func (d *driver) pause(_ context.Context, a *flock.Agent, _ *schedule.Op, _ *Struck) error {
	return a.Signal(syscall.SIGSTOP)
}

func (d *driver) resume(a *flock.Agent) error {
	if err := a.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	return d.retell(a)
}

// suspend stops the writer first and continues it last. So the writer may act on a
// lease that ended long ago, and only the token can stop it.
func (d *driver) suspend(ctx context.Context, a *flock.Agent, o *schedule.Op, r *Struck) error {
	if err := d.pauseWriter(ctx, a, o, r); err != nil {
		return err
	}
	if err := d.pause(ctx, a, o, r); err != nil {
		return errors.Join(err, d.resumeWriter(a))
	}
	return nil
}

func (d *driver) wake(a *flock.Agent) error { return errors.Join(d.resume(a), d.resumeWriter(a)) }

func (d *driver) pauseWriter(_ context.Context, a *flock.Agent, _ *schedule.Op, _ *Struck) error {
	return d.writers.signal(a.Name, syscall.SIGSTOP)
}

func (d *driver) resumeWriter(a *flock.Agent) error { return d.writers.signal(a.Name, syscall.SIGCONT) }

func (d *driver) killWriter(_ context.Context, a *flock.Agent, _ *schedule.Op, _ *Struck) error {
	return d.writers.kill(a.Name)
}

// askLimit is the time limit of requests over the socket.
const askLimit = 15 * time.Second

func (d *driver) die(_ context.Context, a *flock.Agent, _ *schedule.Op, _ *Struck) error {
	ask, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	return a.Client().Die(ask, 0)
}

func (d *driver) revive(a *flock.Agent) error {
	ask, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	return a.Client().Revive(ask)
}

func (d *driver) stepDown(ctx context.Context, a *flock.Agent, _ *schedule.Op, r *Struck) error {
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	next, err := a.Client().StepDown(ask, "")
	r.Detail = "to " + next
	return err
}
