// Package flock runs a flock of real agent processes on this machine: to see
// one live, to try faults on it, and to measure it.
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say what to run.
type Options struct {
	Binary string // the ddgoose to run
	Dir    string // sockets, logs and data; it exists and is ours
	Agents int    // 1 to 26: a, b, c, ...
	// Profile names the timing: lan, local or wan; "" is lan. Heartbeat and
	// Lease override it when above 0.
	Profile          string
	Heartbeat, Lease time.Duration
	HTTPBase         int // the first agent's --http port, the others follow; 0: none
	LogLevel         string
	Extra            []string // further agent flags
}

// Flock is a running local flock. Its methods may be called from anywhere.
type Flock struct {
	opts  Options
	names []string
	spawn *spawner

	mu        sync.Mutex // guards what follows
	agents    map[string]*Agent
	partition Partition
	netem     string
	closed    bool
}

// MaxAgents is how many agents a local flock can have: one a letter.
const MaxAgents = 26

// Prepare makes a flock of agents that are not started yet.
func Prepare(opts Options) (*Flock, error) {
	if opts.Agents < 1 || opts.Agents > MaxAgents {
		return nil, fmt.Errorf("%d agents: want 1 to %d", opts.Agents, MaxAgents)
	}
	f := &Flock{opts: opts, agents: map[string]*Agent{}, spawn: newSpawner()}
	ports, err := freePorts(opts.Agents)
	if err != nil {
		return nil, err
	}
	for i := range opts.Agents {
		name := string(rune('a' + i))
		f.names = append(f.names, name)
		a := &Agent{
			Name: name, Addr: fmt.Sprintf("127.0.0.1:%d", ports[i]),
			Socket: filepath.Join(opts.Dir, name+".sock"),
			Log:    filepath.Join(opts.Dir, name+".log"),
			Data:   filepath.Join(opts.Dir, name),
		}
		if opts.HTTPBase > 0 {
			a.HTTP = fmt.Sprintf("127.0.0.1:%d", opts.HTTPBase+i)
		}
		f.agents[name] = a
	}
	return f, nil
}

// Names gives the agents' names in order.
func (f *Flock) Names() []string { return slices.Clone(f.names) }

// Agent gives an agent by name, with a remedy in the error.
func (f *Flock) Agent(name string) (*Agent, error) {
	a, ok := f.agents[name]
	if !ok {
		return nil, fmt.Errorf("no agent %q: this flock has %s", name, strings.Join(f.names, " "))
	}
	return a, nil
}

// StartAll starts every agent that does not run.
func (f *Flock) StartAll() error {
	for _, name := range f.names {
		if err := f.Start(name); err != nil && !errors.Is(err, ErrRuns) {
			return err
		}
	}
	return nil
}

// ErrRuns says that an agent to be started runs already.
var ErrRuns = errors.New("it runs already")

// Start starts one agent, under the partition and the rules in force.
func (f *Flock) Start(name string) error {
	a, err := f.Agent(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errors.New("the flock has stopped")
	}
	if a.Running() {
		return fmt.Errorf("agent %s: %w", name, ErrRuns)
	}
	return a.start(f.spawn, f.opts.Binary, f.args(a))
}

// args are an agent's flags.
func (f *Flock) args(a *Agent) []string {
	args := []string{
		"agent", "--name", a.Name, "--bind", a.Addr, "--data-dir", a.Data, "--socket", a.Socket,
		"--join", f.agents[f.names[0]].Addr, "--flock", "local-" + filepath.Base(f.opts.Dir),
		"--log-level", orElse(f.opts.LogLevel, "info"), "--profile", orElse(f.opts.Profile, "lan"),
	}
	args = append(args, "--expect", fmt.Sprint(len(f.names)))
	if f.opts.Heartbeat > 0 {
		args = append(args, "--heartbeat", f.opts.Heartbeat.String())
	}
	if f.opts.Lease > 0 {
		args = append(args, "--lease", f.opts.Lease.String())
	}
	if a.HTTP != "" {
		args = append(args, "--http", a.HTTP)
	}
	if rules := f.rules(a.Name); rules != "" {
		args = append(args, "--netem", rules)
	}
	return append(args, f.opts.Extra...)
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// Kill ends an agent as a crash would.
func (f *Flock) Kill(name string) error {
	a, err := f.Agent(name)
	if err != nil {
		return err
	}
	return a.Signal(os.Kill)
}

// Running names the agents that run.
func (f *Flock) Running() (names []string) {
	for _, name := range f.names {
		if f.agents[name].Running() {
			names = append(names, name)
		}
	}
	return names
}

// SetPartition replaces the partition; it holds for agents started later too.
// Other rules stay.
func (f *Flock) SetPartition(ctx context.Context, p Partition) error {
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

// SetNetem replaces the rules on every agent; the partition stays. "" clears them.
func (f *Flock) SetNetem(ctx context.Context, rules string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.netem
	f.netem = rules
	if err := f.applyRules(ctx); err != nil {
		f.netem = old
		return errors.Join(err, f.applyRules(ctx))
	}
	return nil
}

// Faults tells what is in force, for people; "" when nothing is.
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
	return strings.Join(parts, "; ")
}

// rules gives the rules of one agent: what the partition cuts goes first,
// because the first rule that matches decides.
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

// applyRules tells every running agent its rules.
func (f *Flock) applyRules(ctx context.Context) error {
	var errs []error
	for _, name := range f.names {
		a := f.agents[name]
		if !a.Running() {
			continue
		}
		if err := a.setNetem(ctx, f.rules(name)); err != nil {
			errs = append(errs, fmt.Errorf("agent %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Close stops every agent, gracefully first, and waits for them.
func (f *Flock) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	for _, name := range f.names {
		_ = f.agents[name].Signal(os.Interrupt)
	}
	deadline := time.Now().Add(5 * time.Second)
	for _, name := range f.names {
		if !f.agents[name].waitUntil(deadline) {
			_ = f.agents[name].Signal(os.Kill)
			f.agents[name].waitUntil(time.Now().Add(5 * time.Second))
		}
	}
	f.spawn.close()
}
