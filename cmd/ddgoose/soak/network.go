package soak

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/shape"
)

// begin books the whole network as struck by a kind, once at a time.
func (d *driver) begin(kind Kind, r *Struck) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[kind] {
		return r.skip("one is in force already")
	}
	d.busy[kind] = true
	return nil
}

func (d *driver) done(kind Kind) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.busy, kind)
}

// flap bounds how long a flapping link is up or down.
const flap = 400 * time.Millisecond

func (d *driver) partition(ctx context.Context, p planned, r *Struck) error {
	if err := d.begin(Partition, r); err != nil {
		return err
	}
	defer d.done(Partition)
	c, err := d.cast(p)
	if err != nil {
		return r.skip(err.Error())
	}
	text := shapes[p.shape](c)
	s, err := shape.Parse(text)
	if err != nil {
		return err
	}
	r.Detail, r.From = p.shape+" "+text, boottime.Now()
	if p.shape != flapping {
		d.setPartition(s)
		_ = sleep(ctx, p.lasts)
	}
	for i := 0; p.shape == flapping && boottime.Now() < r.From+p.lasts && ctx.Err() == nil; i++ {
		if i%2 == 0 {
			d.setPartition(s)
		} else {
			d.setPartition(shape.Shape{})
		}
		_ = sleep(ctx, flap/4+time.Duration(p.pick)>>i%flap)
	}
	d.setPartition(shape.Shape{})
	return nil
}

// cast gives the roles of a partition.
func (d *driver) cast(p planned) (*cast, error) {
	goose, _ := d.o.goose()
	voters := d.w.voters()
	if goose == "" || !slices.Contains(voters, goose) {
		return nil, errors.New("there is no goose")
	}
	if len(voters) < fewest {
		return nil, fmt.Errorf("there are %d voters", len(voters))
	}
	c := &cast{goose: goose}
	for _, name := range p.pick.shuffled(d.f.Names()) {
		switch {
		case name == goose:
		case slices.Contains(voters, name):
			c.voters = append(c.voters, name)
		default:
			c.rest = append(c.rest, name)
		}
	}
	return c, nil
}

// tellLimit bounds how long agents may take to take rules; one that is stopped
// is told when it goes on.
const tellLimit = 2 * time.Second

// setPartition replaces the partition. What is cut by either counts as cut meanwhile.
func (d *driver) setPartition(s shape.Shape) {
	d.w.partitioned(append(d.w.inForce(), s)...)
	ctx, cancel := context.WithTimeout(context.Background(), tellLimit)
	defer cancel()
	if err := d.f.SetPartition(ctx, s); err != nil {
		d.retellAll()
	}
	d.w.partitioned(s)
}

func (d *driver) network(ctx context.Context, p planned, r *Struck) error {
	if err := d.begin(Network, r); err != nil {
		return err
	}
	defer d.done(Network)
	r.Detail, r.From = p.rules, boottime.Now()
	d.w.setNoisy(true)
	defer d.w.setNoisy(false)
	d.setNetem(p.rules)
	_ = sleep(ctx, p.lasts)
	d.setNetem("")
	return nil
}

func (d *driver) setNetem(rules string) {
	ctx, cancel := context.WithTimeout(context.Background(), tellLimit)
	defer cancel()
	if err := d.f.SetNetem(ctx, rules); err != nil {
		d.retellAll()
	}
}

// retellAll tells every agent that is not harmed its rules again: one of them
// was too slow to take them.
func (d *driver) retellAll() {
	for _, name := range d.f.Names() {
		d.mu.Lock()
		harmed := d.harmed[name] != ""
		d.mu.Unlock()
		if a, err := d.f.Agent(name); err == nil && !harmed {
			_ = d.retell(a) // one that ends meanwhile gets them at its start
		}
	}
}

// retell tells one agent the rules that it should have.
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
