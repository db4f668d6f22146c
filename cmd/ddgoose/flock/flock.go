// Package flock runs a flock of real agent processes on this machine, to watch it, to
// try faults on it, and to measure it.
//
// A [Flock] is the processes. A [Monitor] follows what they publish. [Run] is the whole
// driver, with its screen, its socket and its random lives. [Driver] commands it from
// another process.
package flock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/netem/shape"
	"duckduckgoose/wire"
)

// Options say what to run.
type Options struct {
	Binary string // the ddgoose to run
	Dir    string // sockets, logs and data; made when missing
	Agents int    // 1 to 26: a, b, c, ...
	// Profile names the timing: lan, local or wan; "" is lan. Heartbeat and
	// Lease override it when above 0. AutoLease: each goose chooses them.
	Profile          string
	Heartbeat, Lease time.Duration
	AutoLease        bool
	HTTPBase         int      // the first agent's --http port, the others follow; 0: none
	Elections        []string // that every agent contests beside the default one
	LogLevel         string
	Warden           bool     // each agent has a warden, which sends its last will
	Extra            []string // further agent flags
}

// Flock is a running local flock. Its methods may be called from any goroutine.
type Flock struct {
	opts   Options
	names  []string
	spawn  *Spawner
	agents map[string]*Agent // never changed after Prepare

	mu        sync.Mutex // guards what follows, and keeps starts and rules in order
	partition shape.Shape
	netem     string
	closed    bool
}

// MaxAgents is the most agents of a local flock: one for each letter.
const MaxAgents = 26

// Check returns an error if the options are wrong.
func (o *Options) Check() error {
	switch {
	case o.Agents < 1 || o.Agents > MaxAgents:
		return fmt.Errorf("agents %d: want 1 to %d", o.Agents, MaxAgents)
	case o.HTTPBase < 0 || o.HTTPBase > 0 && o.HTTPBase+o.Agents-1 > 65535:
		return fmt.Errorf("http-base %d: want a port from 1 to %d (each of %d agents takes the next)", o.HTTPBase, 65536-o.Agents, o.Agents)
	}
	if api.CheckSocketPath(filepath.Join(o.Dir, client.DriverSocket)) != nil {
		return fmt.Errorf("dir %s: too long for the paths of the sockets in it: name a shorter one", o.Dir)
	}
	return nil
}

// Prepare makes a flock of agents that are not started yet.
func Prepare(opts Options) (*Flock, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the flock's folder: %w", err)
	}
	ports, err := freePorts(opts.Agents)
	if err != nil {
		return nil, err
	}
	f := &Flock{opts: opts, agents: map[string]*Agent{}, spawn: NewSpawner()}
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

// Names returns the agents' names in order.
func (f *Flock) Names() []string { return slices.Clone(f.names) }

// Agents returns the agents in the order of their names.
func (f *Flock) Agents() (all []*Agent) {
	for _, name := range f.names {
		all = append(all, f.agents[name])
	}
	return all
}

// Agent returns an agent by name, with a remedy in the error.
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

var (
	// ErrRuns says that an agent cannot be started because it runs already.
	ErrRuns   = errors.New("it runs already")
	errClosed = errors.New("the flock has stopped")
	errHeld   = errors.New("it was killed, and stays dead until it is started")
)

// Start starts one agent, under the partition and the rules in force.
func (f *Flock) Start(name string) error { return f.start(name, true) }

// revive starts an agent unless somebody holds it dead.
func (f *Flock) revive(name string) error { return f.start(name, false) }

func (f *Flock) start(name string, evenHeld bool) error {
	a, err := f.Agent(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return errClosed
	case a.Running():
		return fmt.Errorf("agent %s: %w", name, ErrRuns)
	case !a.release(evenHeld):
		return fmt.Errorf("agent %s: %w", name, errHeld)
	}
	return a.start(f.spawn, f.opts.Binary, f.args(a))
}

// args returns an agent's flags.
func (f *Flock) args(a *Agent) []string {
	label := "local-" + filepath.Base(f.opts.Dir)
	args := []string{
		"agent", "--name", a.Name, "--bind", a.Addr, "--data-dir", a.Data, "--socket", a.Socket,
		"--flock", label[:min(len(label), wire.MaxLabel)],
		"--log-level", cmp.Or(f.opts.LogLevel, "info"), "--profile", cmp.Or(f.opts.Profile, "lan"),
		"--expect", fmt.Sprint(len(f.names)),
	}
	if len(f.names) > 1 { // alone it would only call itself
		args = append(args, "--join", f.agents[f.names[0]].Addr)
	}
	if f.opts.Heartbeat > 0 {
		args = append(args, "--heartbeat", f.opts.Heartbeat.String())
	}
	switch {
	case f.opts.AutoLease:
		args = append(args, "--lease", "auto")
	case f.opts.Lease > 0:
		args = append(args, "--lease", f.opts.Lease.String())
	}
	if a.HTTP != "" {
		args = append(args, "--http", a.HTTP)
	}
	if len(f.opts.Elections) > 0 {
		args = append(args, "--election", strings.Join(f.opts.Elections, ","))
	}
	if rules := f.rules(a.Name); rules != "" {
		args = append(args, "--netem", rules)
	}
	if f.opts.Warden {
		args = append(args, "--warden")
	}
	return append(args, f.opts.Extra...)
}

// Kill ends an agent as a crash would.
func (f *Flock) Kill(name string) error {
	a, err := f.Agent(name)
	if err != nil {
		return err
	}
	return a.Signal(os.Kill)
}

// Hold kills an agent, if it runs, and keeps it dead until Start. It returns
// when the process has ended.
func (f *Flock) Hold(ctx context.Context, name string) error {
	a, err := f.Agent(name)
	if err != nil {
		return err
	}
	a.mu.Lock()
	again := a.held
	a.held = true
	err = a.signal(os.Kill)
	a.mu.Unlock()
	switch {
	case errors.Is(err, ErrStopped) && again:
		return fmt.Errorf("agent %s: %w", name, errHeld)
	case err != nil && !errors.Is(err, ErrStopped):
		return fmt.Errorf("kill agent %s: %w", name, err)
	case !a.waitUntil(ctx):
		return fmt.Errorf("kill agent %s: %w", name, ctx.Err())
	}
	return nil
}

const closeWait = 5 * time.Second

// Close stops all agents and waits for them: SIGTERM first, SIGKILL if that is not enough.
func (f *Flock) Close() {
	f.mu.Lock()
	closed := f.closed
	f.closed = true
	f.mu.Unlock()
	if closed {
		return
	}
	for _, a := range f.Agents() {
		_ = a.Signal(syscall.SIGTERM) // they may ignore SIGINT: shells start the background jobs of scripts so
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	for _, a := range f.Agents() {
		if !a.waitUntil(ctx) {
			_ = a.Signal(os.Kill)
			<-a.Gone()
		}
	}
	f.spawn.Close()
}
