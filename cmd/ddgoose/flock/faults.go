package flock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"duckduckgoose/netem"
	"duckduckgoose/netem/shape"
)

// SetPartition replaces the partition; the zero Shape ends it. It also applies to agents
// that are started later. Other rules stay.
func (f *Flock) SetPartition(ctx context.Context, p shape.Shape) error {
	for _, name := range p.Named() {
		if _, err := f.Agent(name); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.partition = p
	return f.applyRules(ctx)
}

// SetNetem replaces the rules of every agent, and of agents that are started later; ""
// clears them. The partition stays.
func (f *Flock) SetNetem(ctx context.Context, rules string) error {
	r, err := netem.Parse(rules)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.netem = r.String()
	return f.applyRules(ctx)
}

// Faults returns the partition and rules in force, for people; "": none.
func (f *Flock) Faults() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var parts []string
	if s := f.partition.String(); s != "" {
		parts = append(parts, "partition "+s)
	}
	if f.netem != "" {
		parts = append(parts, "netem "+f.netem)
	}
	return strings.Join(parts, ", ")
}

// Rules returns the rules of one agent, in the form in which its status prints them.
func (f *Flock) Rules(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := netem.Parse(f.rules(name))
	if err != nil {
		return f.rules(name)
	}
	return r.String()
}

// rules returns the rules of one agent: first the cuts of the partition, because the
// first rule that matches decides.
func (f *Flock) rules(name string) string {
	var rules []string
	out, in := f.partition.Cuts(name, f.names)
	add := func(direction string, peers []string) {
		if len(peers) == 0 {
			return
		}
		addrs := make([]string, len(peers))
		for i, p := range peers {
			addrs[i] = f.agents[p].Addr
		}
		rules = append(rules, direction+strings.Join(addrs, ",")+": cut")
	}
	if slices.Equal(out, in) {
		add("", out)
	} else {
		add("out ", out)
		add("in ", in)
	}
	if f.netem != "" {
		rules = append(rules, f.netem)
	}
	return strings.Join(rules, "; ")
}

// applyRules sets the rules of all running agents at the same time, so that a partition
// begins everywhere at once.
func (f *Flock) applyRules(ctx context.Context) error {
	errs := make([]error, len(f.names))
	var told sync.WaitGroup
	for i, name := range f.names {
		a := f.agents[name]
		if !a.Running() {
			continue
		}
		rules := f.rules(name)
		told.Go(func() {
			if err := a.setNetem(ctx, rules); err != nil {
				errs[i] = fmt.Errorf("agent %s: %w", name, err)
			}
		})
	}
	told.Wait()
	return errors.Join(errs...)
}
