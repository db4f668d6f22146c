package soak

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

// Struck is a fault that struck, or did not.
type Struck struct {
	Kind   Kind          `json:"kind"`
	Agent  string        `json:"agent,omitempty"` // "": all of them
	Goose  bool          `json:"goose"`           // the agent was the goose then
	Detail string        `json:"detail,omitempty"`
	From   time.Duration `json:"from_ns"`
	To     time.Duration `json:"to_ns"`
	// Skipped tells why it did not strike, Refused why the flock did not let it.
	Skipped string `json:"skipped,omitempty"`
	Refused string `json:"refused,omitempty"`
}

// Crash is a process that ended without being told to.
type Crash struct {
	Agent string        `json:"agent"`
	At    time.Duration `json:"at_ns"`
	How   string        `json:"how"`
	Log   string        `json:"log"` // the end of it
}

// driver does harm to the flock, and undoes it.
type driver struct {
	s       *Scenario
	f       *flock.Flock
	o       *observer
	w       *world
	writers *writers
	ended   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	harmed   map[string]Kind
	busy     map[Kind]bool // of those that strike the whole network
	struck   []*Struck
	crashes  []Crash
	writerNo int
}

// run strikes by plan until ctx ends, and returns when all is undone.
func (d *driver) run(ctx context.Context, p *plan) {
	defer d.ended.Wait()
	for {
		next := p.next()
		if sleep(ctx, next.after) != nil {
			return
		}
		d.ended.Go(func() { d.strike(ctx, next) })
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// strike does one fault from begin to end.
func (d *driver) strike(ctx context.Context, p planned) {
	r := &Struck{Kind: p.kind}
	var err error
	switch p.kind {
	case Partition:
		err = d.partition(ctx, p, r)
	case Network:
		err = d.network(ctx, p, r)
	case StepDown:
		err = d.stepDown(ctx, r)
	case PauseWriter, KillWriter:
		err = d.harmWriter(ctx, p, r)
	default:
		err = d.harmAgent(ctx, p, r)
	}
	r.To = boottime.Now()
	if r.From == 0 {
		r.From = r.To
	}
	if err != nil && r.Skipped == "" {
		r.Refused = err.Error()
	}
	d.mu.Lock()
	d.struck = append(d.struck, r)
	d.mu.Unlock()
}

// errSkipped says that there was nobody to strike.
var errSkipped = errors.New("skipped")

func (r *Struck) skip(why string) error {
	r.Skipped = why
	return errSkipped
}

// harmAgent strikes one agent's process.
func (d *driver) harmAgent(ctx context.Context, p planned, r *Struck) error {
	name, err := d.victim(p, r)
	if err != nil {
		return err
	}
	a, err := d.f.Agent(name)
	if err != nil {
		return err
	}
	d.w.harm(name, true)
	r.From = boottime.Now()
	harm := map[Kind]func(context.Context, *flock.Agent, time.Duration) error{
		Kill: d.kill, Pause: d.pause, Freeze: d.freeze, Stop: d.stop, Death: d.die, Leave: d.leave, Wipe: d.wipe,
	}[p.kind]
	err = harm(ctx, a, p.lasts)
	d.recovered(name)
	return err
}

// recovered ends the harm of an agent.
func (d *driver) recovered(name string) {
	d.w.harm(name, false)
	d.mu.Lock()
	delete(d.harmed, name)
	d.mu.Unlock()
}

// restarts are the kinds that end the process.
var restarts = []Kind{Kill, Stop, Leave, Wipe}

// victim chooses an agent, and books it as harmed.
func (d *driver) victim(p planned, r *Struck) (string, error) {
	goose, _ := d.o.goose()
	lost := d.w.lost()
	names := d.f.Names()
	if slices.Contains(restarts, p.kind) {
		names = names[:max(len(names)-d.s.Spare, 0)]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	names = slices.DeleteFunc(names, func(name string) bool { return d.harmed[name] != "" })
	switch {
	case len(d.harmed)+lost >= d.s.Down:
		return "", r.skip(fmt.Sprintf("%d agents are down already, and %d voters have lost their disks", len(d.harmed), lost))
	case p.kind == Wipe && lost > 0:
		// P5 gives the flock time to heal: a goose replaces a voter 30 s after
		// its own election, so with faults that depose it this may take long.
		return "", r.skip("a voter that lost its disk is not replaced yet")
	case len(names) == 0:
		return "", r.skip("nobody is left to strike")
	}
	name := names[p.pick.of(len(names))]
	if p.goose && slices.Contains(names, goose) {
		name = goose
	}
	r.Agent, r.Goose = name, name == goose
	d.harmed[name] = p.kind
	return name, nil
}
