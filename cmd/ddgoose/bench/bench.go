// Package bench measures a real local flock: how long it is without a goose
// when the goose is killed or steps down, and what it costs when nothing happens.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// Options say what to measure.
type Options struct {
	Flock     flock.Options
	Kills     int           // kill -9 of the goose
	StepDowns int           // hand-overs
	Idle      time.Duration // how long nothing happens
	Progress  func(string)  // may be nil
}

// Report is what was measured. Durations are in milliseconds.
type Report struct {
	Agents      int     `json:"agents"`
	HeartbeatMS float64 `json:"heartbeat_ms"`
	LeaseMS     float64 `json:"lease_ms"`
	// Failover is from kill -9 of the goose until a majority of all agents
	// names another goose.
	Failover *Distribution `json:"failover_ms,omitempty"`
	// HandOff is from the old goose's last lease until the next goose's first.
	HandOff *Distribution `json:"hand_off_gap_ms,omitempty"`
	Idle    *Idle         `json:"idle,omitempty"`
}

// Distribution sums up samples.
type Distribution struct {
	N      int     `json:"n"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

func distributionOf(samples []time.Duration) *Distribution {
	if len(samples) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(samples))
	at := func(q float64) float64 {
		i := int(q*float64(len(s))+0.9999) - 1 // nearest rank
		return float64(s[min(max(i, 0), len(s)-1)]) / float64(time.Millisecond)
	}
	return &Distribution{N: len(s), Min: at(0), Median: at(0.5), P90: at(0.9), P95: at(0.95), P99: at(0.99), Max: at(1)}
}

// Run starts a flock, measures it and stops it.
func Run(ctx context.Context, opts Options) (*Report, error) {
	say := opts.Progress
	if say == nil {
		say = func(string) {}
	}
	f, err := flock.Prepare(opts.Flock)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.StartAll(); err != nil {
		return nil, err
	}
	w := newWatchers(ctx, f)
	defer w.close()
	say("waiting for the flock")
	if err := w.settled(ctx, len(f.Names())); err != nil {
		return nil, err
	}
	st := w.latest(f.Names()[0])
	r := &Report{Agents: len(f.Names()), HeartbeatMS: st.Heartbeat, LeaseMS: st.LeaseMS}
	if opts.Idle > 0 {
		say(fmt.Sprintf("idle for %v", opts.Idle))
		if r.Idle, err = measureIdle(ctx, f, opts.Idle); err != nil {
			return nil, err
		}
	}
	var gaps, kills []time.Duration
	for i := range opts.StepDowns {
		say(fmt.Sprintf("step-down %d of %d", i+1, opts.StepDowns))
		gap, err := w.stepDown(ctx)
		if err != nil {
			return nil, err
		}
		gaps = append(gaps, gap)
	}
	for i := range opts.Kills {
		say(fmt.Sprintf("kill %d of %d", i+1, opts.Kills))
		d, err := w.kill(ctx)
		if err != nil {
			return nil, err
		}
		kills = append(kills, d)
	}
	r.HandOff, r.Failover = distributionOf(gaps), distributionOf(kills)
	return r, nil
}

// watchers follow the status of every agent through its socket.
type watchers struct {
	f      *flock.Flock
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	status  map[string]api.Status
	changed chan struct{} // closed and replaced at every change
	geese   []reign
}

// reign is one goose period as its own agent showed it.
type reign struct {
	name     string
	token    uint64
	from, to time.Time // to: when it was first seen to be over; zero: it lasts
}

func newWatchers(ctx context.Context, f *flock.Flock) *watchers {
	ctx, cancel := context.WithCancel(ctx)
	w := &watchers{f: f, cancel: cancel, status: map[string]api.Status{}, changed: make(chan struct{})}
	for _, name := range f.Names() {
		w.ended.Add(1)
		go func() {
			defer w.ended.Done()
			w.follow(ctx, name)
		}()
	}
	return w
}

func (w *watchers) close() {
	w.cancel()
	w.ended.Wait()
}

// follow watches one agent for as long as ctx lasts, through its restarts.
func (w *watchers) follow(ctx context.Context, name string) {
	a, err := w.f.Agent(name)
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		for s := range a.Client().Watch(ctx) {
			w.see(name, s)
		}
		w.see(name, api.Status{Name: name, Role: api.RoleDead})
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (w *watchers) see(name string, s api.Status) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.status[name]
	w.status[name] = s
	if old.Role == api.RoleGoose && (s.Role != api.RoleGoose || s.Token != old.Token) {
		for i := range w.geese {
			if g := &w.geese[i]; g.name == name && g.to.IsZero() {
				g.to = now
			}
		}
	}
	if s.Role == api.RoleGoose && (old.Role != api.RoleGoose || s.Token != old.Token) {
		w.geese = append(w.geese, reign{name: name, token: s.Token, from: now})
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watchers) latest(name string) api.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status[name]
}

// until waits for a condition on what was seen, judged at every change.
func (w *watchers) until(ctx context.Context, what string, limit time.Duration, ok func() bool) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		w.mu.Lock()
		done, changed := ok(), w.changed
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("waited %v for %s%s", limit, what, w.exits())
		}
	}
}

func (w *watchers) exits() string {
	s := ""
	for _, name := range w.f.Names() {
		if a, err := w.f.Agent(name); err == nil && a.Exit() != nil {
			s += "; " + a.Exit().Error()
		}
	}
	return s
}

// named gives the goose that at least n agents name by the same token.
func (w *watchers) named(n int) (name string, token uint64) {
	votes := map[uint64]int{}
	for _, s := range w.status {
		if s.Goose != nil && s.Role != api.RoleDead {
			if votes[s.Token]++; votes[s.Token] >= n {
				return s.Goose.Name, s.Token
			}
		}
	}
	return "", 0
}

// settled waits until every agent is alive, knows the same goose and the full set of voters.
func (w *watchers) settled(ctx context.Context, n int) error {
	voters := 5
	switch {
	case n < 3:
		voters = 1
	case n < 5:
		voters = 3
	}
	return w.until(ctx, "the flock to settle", 30*time.Second, func() bool {
		if name, _ := w.named(n); name == "" {
			return false
		}
		for _, s := range w.status {
			if len(s.Config.Voters) < voters || s.Alive < n {
				return false
			}
		}
		return true
	})
}

func (w *watchers) goose(n int) (name string, token uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.named(n)
}

// kill kills the goose and measures until a majority names another. The dead
// one is started again and the flock settles before it returns.
func (w *watchers) kill(ctx context.Context) (time.Duration, error) {
	n := len(w.f.Names())
	old, token := w.goose(n)
	// At a random moment of the heartbeat, as crashes come.
	if err := jitter(ctx, w.latest(old)); err != nil {
		return 0, err
	}
	at := time.Now()
	if err := w.f.Kill(old); err != nil {
		return 0, err
	}
	var d time.Duration
	err := w.until(ctx, "another goose", 30*time.Second, func() bool {
		name, t := w.named(n/2 + 1)
		d = time.Since(at)
		return name != "" && t > token
	})
	if err != nil {
		return 0, err
	}
	if err := w.until(ctx, "the killed agent to be gone", 10*time.Second, func() bool { return w.status[old].Role == api.RoleDead }); err != nil {
		return 0, err
	}
	a, err := w.f.Agent(old)
	if err != nil {
		return 0, err
	}
	<-a.Gone()
	if err := w.f.Start(old); err != nil {
		return 0, err
	}
	return d, w.settled(ctx, n)
}

// stepDown hands over and measures the time without any goose.
func (w *watchers) stepDown(ctx context.Context) (time.Duration, error) {
	n := len(w.f.Names())
	old, token := w.goose(n)
	a, err := w.f.Agent(old)
	if err != nil {
		return 0, err
	}
	if _, err := a.Client().StepDown(ctx, ""); err != nil {
		return 0, fmt.Errorf("step-down of %s: %w", old, err)
	}
	var gap time.Duration
	err = w.until(ctx, "the next goose", 10*time.Second, func() bool {
		i := slices.IndexFunc(w.geese, func(g reign) bool { return g.name == old && g.token == token })
		j := slices.IndexFunc(w.geese, func(g reign) bool { return g.token > token })
		if i < 0 || j < 0 || w.geese[i].to.IsZero() {
			return false
		}
		gap = max(w.geese[j].from.Sub(w.geese[i].to), 0)
		return true
	})
	return gap, errors.Join(err, w.settled(ctx, n))
}

// jitter waits for a part of a heartbeat that differs from time to time.
func jitter(ctx context.Context, s api.Status) error {
	h := time.Duration(cmp.Or(s.Heartbeat, 50) * float64(time.Millisecond))
	select {
	case <-time.After(time.Duration(time.Now().UnixNano()) % h):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
