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
	"duckduckgoose/netem/schedule"
)

// Struck is a planned fault that was injected, or was not.
type Struck struct {
	Kind   string        `json:"kind"`            // a word of the schedules
	Agent  string        `json:"agent,omitempty"` // "": all of them
	Goose  bool          `json:"goose"`           // the agent was the goose at that moment
	Detail string        `json:"detail,omitempty"`
	From   time.Duration `json:"from_ns"`
	To     time.Duration `json:"to_ns"`
	// Skipped says why it was not injected, Refused why the flock did not allow it.
	Skipped string `json:"skipped,omitempty"`
	Refused string `json:"refused,omitempty"`
}

// Crash is a process that ended by itself.
type Crash struct {
	Agent string        `json:"agent"`
	At    time.Duration `json:"at_ns"`
	How   string        `json:"how"`
	Log   string        `json:"log"` // its last lines
}

// driver injects the faults, and ends them.
type driver struct {
	s       *Scenario
	seed    uint64
	f       *flock.Flock
	o       *observer
	w       *conditions
	writers *writers
	ended   sync.WaitGroup

	mu      sync.Mutex        // guards what follows
	harmed  map[string]string // the fault that each agent suffers
	busy    map[string]bool   // the parts of the network that suffer one
	struck  []*Struck
	crashes []Crash
}

// run injects the faults of a schedule until ctx ends. It returns when all have ended.
func (d *driver) run(ctx context.Context, ops []schedule.Op) {
	defer d.ended.Wait()
	began := boottime.Now()
	for i := range ops {
		if flock.Sleep(ctx, began+ops[i].At-boottime.Now()) != nil {
			return
		}
		d.ended.Go(func() { d.strike(ctx, &ops[i]) })
	}
	<-ctx.Done()
}

// strike injects one fault, from its begin to its end.
func (d *driver) strike(ctx context.Context, o *schedule.Op) {
	r := &Struck{Kind: o.Verb}
	act := acts[o.Verb]
	a, err := d.claim(o, &act, r)
	r.From = boottime.Now()
	if err == nil {
		if err = act.do(d, ctx, a, o, r); err == nil && act.undo != nil {
			_ = flock.Sleep(ctx, o.For) // when the run ends, so do all faults
			err = act.undo(d, a)
		}
		d.release(&act, a)
	}
	r.To = boottime.Now()
	if err != nil && r.Skipped == "" {
		r.Refused = err.Error()
	}
	d.mu.Lock()
	d.struck = append(d.struck, r)
	d.mu.Unlock()
}

// errSkipped says that there was no agent for a fault.
var errSkipped = errors.New("skipped")

func (r *Struck) skip(why string) error {
	r.Skipped = why
	return errSkipped
}

// claim chooses the agent for a fault and reserves it: an agent suffers one fault at a
// time.
func (d *driver) claim(o *schedule.Op, act *act, r *Struck) (*flock.Agent, error) {
	goose, _ := d.o.goose()
	switch {
	case act.network != "":
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.busy[act.network] {
			return nil, r.skip("one is in force already")
		}
		d.busy[act.network] = true
		return nil, nil
	case act.beside && goose == "":
		return nil, r.skip("there is no goose")
	case act.beside:
		r.Agent = goose
	default:
		if err := d.victim(o, act, goose, r); err != nil {
			return nil, err
		}
		d.w.harm(r.Agent, true)
	}
	r.Goose = r.Agent == goose
	return d.f.Agent(r.Agent)
}

// release records that a fault has ended.
func (d *driver) release(act *act, a *flock.Agent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.busy, act.network)
	if a != nil && !act.beside {
		delete(d.harmed, a.Name)
		d.w.harm(a.Name, false)
	}
}

// victim chooses the agent that the schedule names; if that one suffers a fault
// already, the next one.
func (d *driver) victim(o *schedule.Op, act *act, goose string, r *Struck) error {
	lost := d.w.lost()
	names := d.f.Names()
	if act.ends {
		names = names[:max(len(names)-d.s.Spare, 0)]
	}
	who := o.Who
	if who == "goose" {
		who = goose
	}
	if i := slices.Index(names, who); i > 0 {
		names = slices.Concat(names[i:], names[:i])
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	names = slices.DeleteFunc(names, func(name string) bool { return d.harmed[name] != "" })
	switch {
	case len(d.harmed)+lost >= d.s.Down:
		return r.skip(fmt.Sprintf("%d agents are down already, and %d voters have lost their disks", len(d.harmed), lost))
	case o.Verb == "wipe" && lost > 0:
		// P5 gives the flock time to heal: a goose replaces a voter 30 s after its own
		// election, so faults that end its lead delay that.
		return r.skip("a voter that lost its disk is not replaced yet")
	case len(names) == 0:
		return r.skip("nobody is left to strike")
	}
	r.Agent = names[0]
	d.harmed[r.Agent] = o.Verb
	return nil
}
