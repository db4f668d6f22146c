// Package apitest is a fake agent for tests of clients: it answers as the test
// says, and records the requests.
package apitest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/api"
)

// Agent is an [api.Backend] without an agent.
type Agent struct {
	// Holders gets every session that Lead has registered.
	Holders chan *Holder
	// Warden is where holders report that their work is gone; "": nowhere.
	Warden string

	mu struct { // guards what follows
		sync.Mutex
		status    api.Status
		next      chan struct{} // closed when status changes
		watching  int
		members   []api.Member
		fails     error
		unhealthy error
		netem     *api.Netem
		heard     []string
		hangs     bool
		hanging   int
		doctor    api.Doctor
		elections map[string]*Agent
		missed    int
		mark      uint64
		stuck     error
	}
}

var _ api.Backend = (*Agent)(nil)

// New makes an agent that is the goose of [Status] and [Members].
func New() *Agent {
	a := &Agent{Holders: make(chan *Holder, 64)}
	a.mu.status, a.mu.members, a.mu.doctor = Status(), Members(), Doctor()
	a.mu.next, a.mu.netem, a.mu.elections = make(chan struct{}), &api.Netem{Seed: 7}, map[string]*Agent{}
	return a
}

// Found adds an election, which is an agent to the test: it has a status, holders
// and failures of its own. This agent is its goose.
func (a *Agent) Found(name string) *Agent {
	e := New()
	e.mu.status.Election = name
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.elections[name] = e
	return e
}

// Elections are the default one, and those of Found.
func (a *Agent) Elections() []api.ElectionInfo {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := []api.ElectionInfo{a.mu.status.Info(true)}
	for _, name := range slices.Sorted(maps.Keys(a.mu.elections)) {
		s := a.mu.elections[name].Status()
		all = append(all, s.Info(true))
	}
	return all
}

// Election is one of Found.
func (a *Agent) Election(name string) (api.ElectionBackend, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.mu.elections[name]; e != nil {
		return e, nil
	}
	a.mu.missed++
	return nil, api.NoElection(name)
}

// Missed is how often it was asked for an election that it does not have.
func (a *Agent) Missed() int { return get(a, &a.mu.missed) }

// Change changes the status, and tells the watchers.
func (a *Agent) Change(change func(*api.Status)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.mu.status)
	close(a.mu.next)
	a.mu.next = make(chan struct{})
}

// SetMembers replaces the members.
func (a *Agent) SetMembers(ms []api.Member) { set(a, &a.mu.members, ms) }

// Fail makes every command fail with err; nil: no more.
func (a *Agent) Fail(err error) { set(a, &a.mu.fails, err) }

// Hang makes every command that has a context wait for its end.
func (a *Agent) Hang() { set(a, &a.mu.hangs, true) }

// Sicken makes Healthy give err.
func (a *Agent) Sicken(err error) { set(a, &a.mu.unhealthy, err) }

// RemoveFaults makes it an agent without netem.
func (a *Agent) RemoveFaults() { set(a, &a.mu.netem, nil) }

// Heard is every command it was given, in order.
func (a *Agent) Heard() []string { return slices.Clone(get(a, &a.mu.heard)) }

// Forget forgets what it was asked.
func (a *Agent) Forget() { set(a, &a.mu.heard, nil) }

// History is two periods, or what Change has made of it.
func (a *Agent) History() api.History { return History() }

// Watching is how many watch.
func (a *Agent) Watching() int { return get(a, &a.mu.watching) }

// Hanging is how many commands wait for the end of their context.
func (a *Agent) Hanging() int { return get(a, &a.mu.hanging) }

// command notes a command, and gives what it fails with.
func (a *Agent) command(ctx context.Context, format string, args ...any) error {
	a.mu.Lock()
	a.mu.heard = append(a.mu.heard, fmt.Sprintf(format, args...))
	err, hangs := a.mu.fails, a.mu.hangs
	if hangs {
		a.mu.hanging++
		defer a.count(&a.mu.hanging, -1)
	}
	a.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// Status is what the last Change made of it.
func (a *Agent) Status() api.Status { return get(a, &a.mu.status) }

// Members are those of New, or of SetMembers.
func (a *Agent) Members() []api.Member { return get(a, &a.mu.members) }

// Watch yields the status, and again after each Change.
func (a *Agent) Watch(ctx context.Context) iter.Seq[api.Status] {
	return func(yield func(api.Status) bool) {
		a.count(&a.mu.watching, 1)
		defer a.count(&a.mu.watching, -1)
		for {
			a.mu.Lock()
			s, next := a.mu.status, a.mu.next
			a.mu.Unlock()
			if !yield(s) {
				return
			}
			select {
			case <-next:
			case <-ctx.Done():
				return
			}
		}
	}
}

// get reads one of the guarded fields, and set writes it.
func get[T any](a *Agent, field *T) T {
	a.mu.Lock()
	defer a.mu.Unlock()
	return *field
}

func set[T any](a *Agent, field *T, to T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*field = to
}

func (a *Agent) count(counter *int, by int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*counter += by
}

// StepDown hands over to the one named, or to b.
func (a *Agent) StepDown(ctx context.Context, to string, force bool) (string, error) {
	what := "step down to %q"
	if force {
		what += ", though frozen"
	}
	if err := a.command(ctx, what, to); err != nil {
		return "", err
	}
	return cmp.Or(to, "b"), nil
}

// Freeze finds that it has reached a, and not b.
func (a *Agent) Freeze(ctx context.Context, d time.Duration) (api.Freeze, error) {
	if d == 0 {
		d = api.DefaultFreeze
	}
	return api.Freeze{Remaining: d.Seconds(), Reached: []string{"a"}, Unreached: []api.Unreached{{Name: "b", Error: "it is dead or cut off"}}},
		a.command(ctx, "freeze for %v", d)
}

// Thaw finds that it has reached all.
func (a *Agent) Thaw(ctx context.Context) (api.Freeze, error) {
	return api.Freeze{Reached: []string{"a", "b"}}, a.command(ctx, "thaw")
}

// Leave notes that it was asked.
func (a *Agent) Leave(ctx context.Context, force bool) error {
	return a.command(ctx, "leave, force %v", force)
}

// ForceLeave notes that it was asked.
func (a *Agent) ForceLeave(ctx context.Context, name string) error {
	return a.command(ctx, "force %q to leave", name)
}

// Join finds that all have answered.
func (a *Agent) Join(ctx context.Context, addrs []string) (int, error) {
	if err := a.command(ctx, "join %q", addrs); err != nil {
		return 0, err
	}
	return len(addrs), nil
}

// Die notes that it was asked.
func (a *Agent) Die(d time.Duration) error {
	return a.command(context.Background(), "die for %v", d)
}

// Revive notes that it was asked.
func (a *Agent) Revive() error { return a.command(context.Background(), "revive") }

// Why notes that it was asked, and answers with [Why].
func (a *Agent) Why(ctx context.Context) (api.Why, error) {
	w := Why()
	w.Election = a.Status().Election
	return w, a.command(ctx, "why")
}

// Healthy gives what Sicken set.
func (a *Agent) Healthy() error { return get(a, &a.mu.unhealthy) }

// Metrics is one metric.
func (a *Agent) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, "ddgoose_goose 1\n")
	})
}

// Mark is what Advance has made of it.
func (a *Agent) Mark(context.Context) (api.Mark, error) {
	return api.Mark{Mark: get(a, &a.mu.mark), Committed: true}, nil
}

// Stick makes Advance fail with err; nil: no more.
func (a *Agent) Stick(err error) { set(a, &a.mu.stuck, err) }

// Advance raises the mark.
func (a *Agent) Advance(ctx context.Context, to, token uint64, slot time.Duration) error {
	if err := a.command(ctx, "advance to %d, token %d, slot %v", to, token, slot); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.stuck != nil {
		return a.mu.stuck
	}
	if to <= a.mu.mark {
		return api.WithCode(api.CodeMarkTaken, api.Conflict("the mark is %d already: only a larger number can follow", a.mu.mark))
	}
	a.mu.mark = to
	return nil
}

// Lead registers a [Holder], and sends it to Holders.
func (a *Agent) Lead(ctx context.Context, peer api.LeadPeer) (api.Holder, error) {
	err := get(a, &a.mu.fails)
	if get(a, &a.mu.hangs) {
		err = a.command(ctx, "lead")
	}
	if err != nil {
		return nil, err
	}
	h := &Holder{Peer: peer, warden: a.Warden, ready: make(chan struct{}, 1), done: make(chan struct{}), closed: make(chan struct{})}
	a.Holders <- h
	return h, nil
}

// Diagnose changes what the doctor finds.
func (a *Agent) Diagnose(change func(*api.Doctor)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.mu.doctor)
}

// FlockCommands notes what it was asked, and answers with [Doctor] and [Keys].
func (a *Agent) FlockCommands() api.FlockCommands { return flockCommands{a} }

type flockCommands struct{ a *Agent }

func (c flockCommands) Doctor(ctx context.Context, d time.Duration) (api.Doctor, error) {
	err := c.a.command(ctx, "doctor for %v", d)
	return get(c.a, &c.a.mu.doctor), err
}

func (c flockCommands) Keys(ctx context.Context) (api.Keys, error) {
	return Keys(), c.a.command(ctx, "keys")
}

func (c flockCommands) InstallKey(ctx context.Context, key []byte) (api.Keys, error) {
	return Keys(), c.a.command(ctx, "install key %x", key)
}

func (c flockCommands) UseKey(ctx context.Context, id string) (api.Keys, error) {
	return Keys(), c.a.command(ctx, "use key %s", id)
}

func (c flockCommands) RemoveKey(ctx context.Context, id string) (api.Keys, error) {
	return Keys(), c.a.command(ctx, "remove key %s", id)
}
