package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

func (d *driver) kill(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	if err := d.f.Hold(context.Background(), a.Name); err != nil {
		return err
	}
	_ = sleep(ctx, lasts) // the end of the run ends every fault
	return d.f.Start(a.Name)
}

func (d *driver) pause(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	if err := a.Signal(stopSignal); err != nil {
		return err
	}
	_ = sleep(ctx, lasts)
	if err := a.Signal(contSignal); err != nil {
		return err
	}
	return d.retell(a)
}

// freeze stops the writer first and lets it go on last: it may then act by a
// lease that was over long ago, and only the token can stop it.
func (d *driver) freeze(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	if err := d.writers.signal(a.Name, stopSignal); err != nil {
		return err
	}
	err := d.pause(ctx, a, lasts)
	return errors.Join(err, d.writers.signal(a.Name, contSignal))
}

func (d *driver) stop(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	gone := a.Gone()
	if err := a.Signal(termSignal); err != nil {
		return err
	}
	if err := d.ends(a, gone); err != nil {
		return err
	}
	_ = sleep(ctx, lasts)
	return d.f.Start(a.Name)
}

// endLimit bounds how long an agent that was told to end may take.
const endLimit = 20 * time.Second

// ends waits for the end of a process that was told to, and books it as a crash
// if that was no clean one.
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

// die and the rest of what is asked over the socket are given some time.
const askLimit = 15 * time.Second

func (d *driver) die(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	ask, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	if err := a.Client().Die(ask, 0); err != nil {
		return err
	}
	_ = sleep(ctx, lasts)
	return a.Client().Revive(ask)
}

func (d *driver) leave(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	gone := a.Gone()
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if err := a.Client().Leave(ask, false); err != nil {
		if ask.Err() == nil {
			return err // refused, and it stays
		}
		// It keeps trying, whether anybody waits or not: a restart ends that.
		return errors.Join(err, d.f.Hold(context.Background(), a.Name), d.f.Start(a.Name))
	}
	if err := d.ends(a, gone); err != nil {
		return err
	}
	_ = sleep(ctx, lasts)
	return d.f.Start(a.Name) // with --join, as ever
}

func (d *driver) wipe(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	if err := d.f.Hold(context.Background(), a.Name); err != nil {
		return err
	}
	if err := os.RemoveAll(a.Data); err != nil {
		return fmt.Errorf("lose the disk of %s: %w", a.Name, err)
	}
	_ = sleep(ctx, lasts)
	return d.f.Start(a.Name)
}

func (d *driver) stepDown(ctx context.Context, r *Struck) error {
	goose, _ := d.o.goose()
	if goose == "" {
		return r.skip("there is no goose")
	}
	a, err := d.f.Agent(goose)
	if err != nil {
		return err
	}
	r.Agent, r.Goose, r.From = goose, true, boottime.Now()
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	next, err := a.Client().StepDown(ask, "")
	r.Detail = "to " + next
	return err
}

// harmWriter strikes the process that acts for the goose.
func (d *driver) harmWriter(ctx context.Context, p planned, r *Struck) error {
	goose, _ := d.o.goose()
	if goose == "" {
		return r.skip("there is no goose")
	}
	d.mu.Lock()
	n := d.writerNo
	d.writerNo++
	d.mu.Unlock()
	r.Agent, r.Goose, r.From = goose, true, boottime.Now()
	if p.kind == KillWriter {
		return d.writers.kill(goose, n)
	}
	if err := d.writers.signal(goose, stopSignal); err != nil {
		return err
	}
	_ = sleep(ctx, p.lasts)
	return d.writers.signal(goose, contSignal)
}
