package soak

import (
	"context"
	"math/rand/v2"
	"time"

	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem"
	"duckduckgoose/netem/schedule"
	"duckduckgoose/netem/shape"
)

func (d *driver) partition(_ context.Context, _ *flock.Agent, o *schedule.Op, r *Struck) error {
	goose, _ := d.o.goose()
	names := d.f.Names()
	rand.New(d.chance(o)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	s, err := shape.ByRole(o.What, goose, d.w.voters(), names)
	if err != nil {
		return r.skip(err.Error())
	}
	r.Detail = o.What + " " + s.String()
	d.setPartition(s)
	return nil
}

// chance returns the random source of a line of the schedule. It depends only on the
// seed.
func (d *driver) chance(o *schedule.Op) *netem.Random {
	return new(netem.NewRandom(d.seed, netem.Out, o.String()))
}

func (d *driver) flap(ctx context.Context, _ *flock.Agent, o *schedule.Op, r *Struck) error {
	r.Detail = "every " + o.What
	every, err := time.ParseDuration(o.What)
	random := d.chance(o)
	for ; err == nil && o.For > 0; o.For -= every {
		d.setPartition(shape.Flap(d.f.Names(), func() bool { return random.OneIn(3) }))
		err = flock.Sleep(ctx, min(every, o.For))
	}
	return nil
}

// heal ends a partition.
func (d *driver) heal(*flock.Agent) error {
	d.setPartition(shape.Shape{})
	return nil
}

// tellLimit is how long agents may take to accept rules. A stopped one gets them again
// when it continues.
const tellLimit = 2 * time.Second

// setPartition replaces the partition. In the meantime, links that either of the two
// cuts count as cut.
func (d *driver) setPartition(s shape.Shape) {
	d.w.partitioned(append(d.w.inForce(), s)...)
	d.tell(func(ctx context.Context) error { return d.f.SetPartition(ctx, s) })
	d.w.partitioned(s)
}

// tell sends rules to agents, and again to those that were too slow.
func (d *driver) tell(set func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), tellLimit)
	defer cancel()
	if set(ctx) == nil {
		return
	}
	for _, a := range d.f.Agents() {
		d.mu.Lock()
		harmed := d.harmed[a.Name] != ""
		d.mu.Unlock()
		if !harmed {
			_ = d.retell(a) // an agent that ends meanwhile gets them at its start
		}
	}
}

func (d *driver) rules(_ context.Context, _ *flock.Agent, o *schedule.Op, r *Struck) error {
	r.Detail = o.What
	d.w.setNoisy(true)
	d.setNetem(o.What)
	return nil
}

func (d *driver) clear(*flock.Agent) error {
	d.setNetem("")
	d.w.setNoisy(false)
	return nil
}

func (d *driver) setNetem(rules string) {
	d.tell(func(ctx context.Context) error { return d.f.SetNetem(ctx, rules) })
}

// retell sends one agent the rules that it should have.
func (d *driver) retell(a *flock.Agent) error {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	rules := d.f.Rules(a.Name)
	if rules == "" {
		return a.Client().ClearNetem(ctx)
	}
	_, err := a.Client().SetNetem(ctx, rules, 0)
	return err
}
