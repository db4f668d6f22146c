package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/schedule"
)

// Options are the settings of a soak.
type Options struct {
	Binary    string // the ddgoose that runs as agents
	Agents    int
	For       time.Duration
	Seed      uint64
	Warden    bool // each agent has a warden, which sends its last will
	AutoLease bool // each goose chooses its lease
	Scenario  *Scenario
	Dir       string // of this soak, with a short path: sockets, disks and logs
	Version   string
	// Writer returns the command that runs [Write] in a process of its own, until its
	// standard input ends.
	Writer func(WriterOptions) *exec.Cmd
	// Progress is called once a second with the state of the run; nil: never.
	Progress func(Progress)
}

// settleLimit is how long a new flock may take until all agents have joined.
const settleLimit = time.Minute

// Run soaks a flock. If ctx ends early, it still returns the report of the time before.
// An error means that there is no report.
func Run(ctx context.Context, o Options) (*Report, error) {
	r, err := prepare(o)
	if err != nil {
		return nil, err
	}
	defer r.f.Close()
	if err := r.f.StartAll(); err != nil {
		return nil, err
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(context.Background())
	r.watch(watching)
	end := sync.OnceFunc(func() {
		stop()
		r.ended.Wait()
		r.monitor.Close()
	})
	defer end()
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	if err := r.startWriters(); err != nil {
		return nil, err
	}

	striking, enough := context.WithTimeout(ctx, o.For)
	defer enough()
	r.from = r.enter(phaseStriking)
	r.driver.run(striking, schedule.Mixed(o.Seed, schedule.Flock{Agents: o.Agents, For: o.For, Every: time.Duration(o.Scenario.Every)}, o.Scenario.Faults))
	r.until = r.enter(phaseHealing)
	r.heal(ctx)

	r.driver.writers.close(endLimit)
	end()
	r.seq.finish(boottime.Now())
	return r.report(ctx)
}

// run is a soak that is running.
type run struct {
	o          Options
	f          *flock.Flock
	seq        *sequence
	conditions *conditions
	observer   *observer
	monitor    *flock.Monitor
	driver     *driver
	canary     *canary
	resources  *resources
	ended      sync.WaitGroup

	started     time.Time
	start       time.Duration // boot clock
	settled     time.Duration
	from, until time.Duration // of the faults
	healed      error         // why it did not heal

	mu       sync.Mutex // guards what follows
	phase    string
	striking time.Duration // since when faults are injected
}

// The phases of a run.
const (
	phaseStarting = "starting"
	phaseStriking = "injecting faults"
	phaseHealing  = "healing"
)

func prepare(o Options) (*run, error) {
	f, err := flock.Prepare(flock.Options{Binary: o.Binary, Dir: o.Dir, Agents: o.Agents, Profile: o.Scenario.Profile, Warden: o.Warden, AutoLease: o.AutoLease})
	if err != nil {
		return nil, err
	}
	return &run{o: o, f: f, phase: phaseStarting, started: time.Now(), start: boottime.Now()}, nil
}

// begin learns the flock's timing, and begins to follow what its agents publish.
func (r *run) begin(ctx context.Context) error {
	first := r.f.Agents()[0]
	c := first.Client()
	c.Wait = settleLimit
	s, err := c.Status(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("ask the first agent: %w", err), first.Exit())
	}
	r.seq = newSequence(r.start)
	r.conditions = newConditions(r.seq, r.f.Names(), millis(s.Heartbeat), millis(s.LeaseMS), time.Duration(r.o.Scenario.Slack))
	r.observer = newObserver(r.f.Names(), r.start, r.seq, r.conditions)
	r.monitor = flock.NewMonitor(context.Background(), r.f, r.observer.see)
	return nil
}

// settle waits for the new flock to be whole.
func (r *run) settle(ctx context.Context) error {
	if err := r.wholeWithin(ctx, settleLimit); err != nil {
		return fmt.Errorf("the new flock is not whole after %v: %w", settleLimit, err)
	}
	r.settled = boottime.Now()
	return nil
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// watch starts everything that observes the flock.
func (r *run) watch(ctx context.Context) {
	r.canary = &canary{w: r.conditions}
	r.resources = &resources{f: r.f, samples: map[string][]Sample{}}
	r.driver = &driver{
		s: r.o.Scenario, seed: r.o.Seed, f: r.f, o: r.observer, w: r.conditions, harmed: map[string]string{}, busy: map[string]bool{},
		writers: &writers{
			spawn: flock.NewSpawner(), command: r.o.Writer, seq: r.seq, flockID: r.observer.flockID,
			log: filepath.Join(r.o.Dir, "writers.log"), all: map[string]*writer{},
		},
	}
	r.ended.Go(func() { r.canary.watch(ctx) })
	r.ended.Go(func() { r.driver.guard(ctx) })
	r.ended.Go(func() { flock.Every(ctx, sequenceTick, func() { r.seq.tick(boottime.Now()) }) })
	r.ended.Go(func() { r.tellProgress(ctx) })
	for _, a := range r.f.Agents() {
		r.ended.Go(func() { r.observer.poll(ctx, a) })
		r.ended.Go(func() { r.resources.follow(ctx, a) })
	}
}

func (r *run) startWriters() error {
	for _, a := range r.f.Agents() {
		w := WriterOptions{Name: a.Name, Socket: a.Socket, Fence: r.fence(), Flock: r.observer.flockID(), Every: time.Duration(r.o.Scenario.WriteEvery)}
		if err := r.driver.writers.start(w); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) fence() string { return filepath.Join(r.o.Dir, "fenced") }

// enter begins a phase and returns the time.
func (r *run) enter(phase string) time.Duration {
	now := boottime.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase == phaseStarting {
		r.striking = now
	}
	r.phase = phase
	return now
}

// SaveLogs copies the logs of a flock's folder, and the journal of the fenced file.
func SaveLogs(dir, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("keep the logs: %w", err)
	}
	for _, pattern := range []string{"*.log", "*.journal"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(filepath.Join(to, filepath.Base(path)), text, 0o644)
			}
			if err != nil {
				return fmt.Errorf("keep the logs: %w", err)
			}
		}
	}
	return nil
}

// Progress is the state of a run.
type Progress struct {
	Phase     string // starting, injecting faults or healing
	Done, For time.Duration
	Goose     string
	Token     uint64
	Struck    int
	Periods   int
	Broken    int // violated promises
	Crashes   int
	News      []string // violations and crashes since the last time
}

func (r *run) tellProgress(ctx context.Context) {
	if r.o.Progress == nil {
		return
	}
	var last Progress
	flock.Every(ctx, time.Second, func() {
		last = r.progress(&last)
		r.o.Progress(last)
	})
}

func (r *run) progress(last *Progress) Progress {
	found := r.seq.found()
	p := Progress{For: r.o.For, Broken: len(found)}
	for _, v := range found[last.Broken:] {
		p.News = append(p.News, r.observer.named(v.Error()))
	}
	p.Goose, p.Token = r.observer.goose()
	_, _, p.Periods = r.seq.counts()
	r.driver.mu.Lock()
	p.Crashes = len(r.driver.crashes)
	for _, c := range r.driver.crashes[last.Crashes:] {
		p.News = append(p.News, fmt.Sprintf("crash of %s at %v: %s", c.Agent, (c.At-r.start).Round(time.Millisecond), c.How))
	}
	for _, s := range r.driver.struck {
		if s.Skipped == "" {
			p.Struck++
		}
	}
	r.driver.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Phase = r.phase
	if r.striking != 0 {
		p.Done = min(boottime.Now()-r.striking, r.o.For)
	}
	return p
}
