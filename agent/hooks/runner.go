package hooks

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/api"
)

// DefaultTimeout is how long a hook may take.
const DefaultTimeout = 30 * time.Second

// KillAfter is how long a group that got its SIGTERM has until its SIGKILL.
const KillAfter = 2 * time.Second

// Source is the agent that hooks are told of.
type Source interface {
	Status() api.Status
	// Watch ends with the agent.
	Watch(ctx context.Context) iter.Seq[api.Status]
	Members() []api.Member
}

// Options are what hooks are run with.
type Options struct {
	Hooks   []Hook
	Timeout time.Duration // of each run; 0: DefaultTimeout
	Socket  string        // the agent's, told to the hooks
	Environ []string      // the hooks' environment, but for the event's
	Log     *slog.Logger  // nil: discards
}

// Runner runs hooks. Its methods may be called from any goroutine.
type Runner struct {
	opts      Options
	killAfter time.Duration
	after     func(time.Duration) <-chan time.Time // time.After, but for tests

	role, member *lane

	ran, failed, timedOut, skipped atomic.Uint64

	mu struct { // guards what follows
		sync.Mutex
		hooks   []Hook
		timeout time.Duration
		tracker tracker
	}
}

// New makes a runner. It starts nothing.
func New(opts Options) *Runner {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{opts: opts, killAfter: KillAfter, after: time.After, role: newLane(), member: newLane()}
	r.Set(opts.Hooks, opts.Timeout)
	return r
}

// Set changes the hooks, and the time-out of those that begin from now on. New
// ones hear how things are.
func (r *Runner) Set(hooks []Hook, timeout time.Duration) {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var added []Hook
	for _, h := range hooks {
		if !slices.Contains(r.mu.hooks, h) {
			added = append(added, h)
		}
	}
	r.mu.hooks, r.mu.timeout = slices.Clone(hooks), timeout
	r.put(r.mu.tracker.present(added))
}

// Run runs hooks until the agent has ended, and returns when the hooks have.
// What runs then gets its time-out, and a last duck its own; all else that
// waits is dropped. The end of ctx kills what runs, and ends Run, at once.
func (r *Runner) Run(ctx context.Context, agent Source) {
	var lanes sync.WaitGroup
	for _, l := range []*lane{r.role, r.member} {
		lanes.Go(func() { r.drain(ctx, l) })
	}
	for s := range agent.Watch(ctx) {
		r.see(s, agent.Members())
	}
	r.see(agent.Status(), nil)
	r.role.close()
	r.member.close()
	lanes.Wait()
}

func (r *Runner) see(s api.Status, members []api.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(r.mu.tracker.see(s, members))
}

// put queues events; mu is held, so that they stay in order.
func (r *Runner) put(events []Event) {
	for _, e := range events {
		l := r.role
		if e.Kind == Member {
			l = r.member
		}
		if l.put(e) {
			r.skipped.Add(1)
		}
	}
}

// drain runs the hooks of a lane's events, until it is closed and empty.
func (r *Runner) drain(ctx context.Context, l *lane) {
	for {
		e, ok := l.next(ctx)
		if !ok {
			return
		}
		hooks, timeout := r.of(e)
		for _, h := range hooks {
			if ctx.Err() != nil {
				return
			}
			r.run(ctx, h, e, timeout)
		}
	}
}

// of gives the hooks that an event is for.
func (r *Runner) of(e Event) (hooks []Hook, timeout time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.mu.hooks {
		if h.On == e.Kind && (e.only == nil || slices.Contains(e.only, h)) {
			hooks = append(hooks, h)
		}
	}
	return hooks, r.mu.timeout
}

// Counters tells what was run: hooks_run, hooks_failed (timed out ones among
// them), hooks_timed_out, and hooks_skipped events. Empty while nothing was.
func (r *Runner) Counters() map[string]uint64 {
	all := map[string]uint64{}
	for name, n := range map[string]*atomic.Uint64{
		"hooks_run": &r.ran, "hooks_failed": &r.failed, "hooks_timed_out": &r.timedOut, "hooks_skipped": &r.skipped,
	} {
		if r.ran.Load() > 0 {
			all[name] = n.Load()
		}
	}
	return all
}
