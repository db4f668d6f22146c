package soak

import (
	"context"
	"errors"
	"fmt"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/netem/shape"
)

// heal ends all faults, and waits until the flock is whole: it must heal whatever
// happened to it (P5).
func (r *run) heal(ctx context.Context) {
	r.driver.setPartition(shape.Shape{})
	r.driver.setNetem("")
	// If the user stopped the run early, healing is not checked.
	r.healed = r.wholeWithin(ctx, time.Duration(r.o.Scenario.Heal))
	if ctx.Err() != nil {
		r.healed = nil
	}
}

// wholeWithin waits until all agents see each other, name one goose, and there are as
// many voters as there should be.
func (r *run) wholeWithin(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		var missing error
		changed := r.monitor.Look(func(up map[string]api.Status) { missing = r.whole(up) })
		if missing == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return missing
		}
	}
}

// whole returns what the flock lacks.
func (r *run) whole(up map[string]api.Status) error {
	n := len(r.f.Names())
	voters := map[bool]int{true: 5, false: 3}[n >= 5]
	goose, token := "", uint64(0)
	for _, a := range r.f.Agents() {
		name := a.Name
		s, ok := up[name]
		if !ok {
			return errors.Join(fmt.Errorf("%s does not answer", name), a.Exit())
		}
		switch {
		case s.Goose == nil:
			return fmt.Errorf("%s knows no goose", name)
		case goose != "" && (s.Goose.Name != goose || s.Token != token):
			return fmt.Errorf("%s says that the goose is %s by token %d, another that it is %s by token %d", name, s.Goose.Name, s.Token, goose, token)
		case s.Alive != n:
			return fmt.Errorf("%s sees %d of %d agents alive", name, s.Alive, n)
		case len(s.Config.Voters) != voters:
			return fmt.Errorf("%s knows %d voters, not %d", name, len(s.Config.Voters), voters)
		case s.Netem != "":
			return fmt.Errorf("%s has the fault rules %q", name, s.Netem)
		}
		goose, token = s.Goose.Name, s.Token
	}
	return nil
}
