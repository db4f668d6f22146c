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

// KillAfter is the time between a group's SIGTERM and its SIGKILL.
const KillAfter = 2 * time.Second

// Source is the agent that the events are about.
type Source interface {
	Status() api.Status
	// Watch ends when the agent does.
	Watch(ctx context.Context) iter.Seq[api.Status]
	Members() []api.Member
}

// Options are the settings of a Runner.
type Options struct {
	Hooks   []Hook
	Timeout time.Duration // of each run; 0: DefaultTimeout
	Socket  string        // the agent's, for DDGOOSE_SOCKET
	Environ []string      // the hooks' environment, without the event's variables
	Log     *slog.Logger  // nil: discards
}

// Runner runs hooks. Its methods are safe for concurrent use.
type Runner struct {
	opts      Options
	killAfter time.Duration
	after     func(time.Duration) <-chan time.Time // time.After; tests have another

	role, member *lane

	ran, failed, timedOut, skipped atomic.Uint64

	mu struct { // guards what follows
		sync.Mutex
		hooks   []Hook
		timeout time.Duration
		tracker tracker
	}
}

// New returns a runner that has not started.
func New(opts Options) *Runner {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{opts: opts, killAfter: KillAfter, after: time.After, role: newLane(), member: newLane()}
	r.Set(opts.Hooks, opts.Timeout)
	return r
}

// Set changes the hooks, and the time-out of hooks that start from now on. New hooks get
// the present state.
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

// Run runs hooks until the agent has ended, and returns when the hooks have. At the end
// running hooks still have their time-out, and the last duck event is still delivered;
// all other waiting events are dropped. The end of ctx kills running hooks and ends Run
// at once.
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

// put queues events. The caller holds mu, so that they stay in order.
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

// drain runs the hooks for a lane's events, until it is closed and empty.
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

// of returns the hooks for an event.
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

// Counters counts hooks_run, hooks_failed (with those that timed out), hooks_timed_out,
// and hooks_skipped events. It is empty until a hook has run.
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
