package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// watch follows the flock through its restarts.
type watch struct {
	f       *flock.Flock
	m       *flock.Monitor
	judge   *judge
	last    map[string]api.Status // as of the last report of each agent
	periods []period              // guarded by the monitor's lock, as last is
	leases  Leases                // of its geese; the monitor's lock guards them, too
	n, most int                   // agents, and a majority of them
	rng     *rand.Rand
}

// period is one goose period as its own agent showed it.
type period struct {
	name     string
	token    uint64
	from, to time.Time // to: when it was first seen to be over; zero: it lasts
}

func newWatch(ctx context.Context, f *flock.Flock, seed uint64) *watch {
	n := len(f.Names())
	w := &watch{f: f, judge: newJudge(), last: map[string]api.Status{}, n: n, most: n/2 + 1, rng: rand.New(rand.NewPCG(seed, 0))}
	w.m = flock.NewMonitor(ctx, f, w.see)
	return w
}

func (w *watch) close() { w.m.Close() }

// see records goose periods.
func (w *watch) see(name string, s api.Status, _ bool) {
	now := time.Now()
	w.judge.hear(&s)
	old := w.last[name]
	w.last[name] = s
	if s.Role == api.RoleGoose {
		w.leases.add(s.LeaseMS)
	}
	changed := s.Role != old.Role || s.Token != old.Token
	if old.Role == api.RoleGoose && changed {
		for i := range w.periods {
			if r := &w.periods[i]; r.name == name && r.to.IsZero() {
				r.to = now
			}
		}
	}
	if s.Role == api.RoleGoose && changed {
		w.periods = append(w.periods, period{name: name, token: s.Token, from: now})
	}
}

// setting describes the flock.
func (w *watch) setting(o *flock.Options, load int, seed uint64) Setting {
	s := w.latest(w.f.Names()[0])
	return Setting{Agents: w.n, HeartbeatMS: s.Heartbeat, LeaseMS: s.LeaseMS, AutoLease: o.AutoLease, Load: load, Seed: seed}
}

// longestLease returns the longest lease that a goose has had.
func (w *watch) longestLease() (d time.Duration) {
	w.m.Look(func(map[string]api.Status) { d = time.Duration(w.leases.Max * float64(time.Millisecond)) })
	return d
}

// latest returns the last status of an agent.
func (w *watch) latest(name string) (s api.Status) {
	w.m.Look(func(up map[string]api.Status) { s = up[name] })
	return s
}

// until waits for a condition, which it checks at every change. It fails if an agent
// ends by itself.
func (w *watch) until(ctx context.Context, what string, limit time.Duration, ok func(up map[string]api.Status) bool) error {
	return wait(ctx, what, limit, func() (done bool, changed <-chan struct{}, err error) {
		changed = w.m.Look(func(up map[string]api.Status) { done = ok(up) })
		for _, a := range w.f.Agents() {
			err = errors.Join(err, a.Exit())
		}
		return done, changed, err
	})
}

// named returns the goose that at least n agents name with the same token.
func named(up map[string]api.Status, n int) (name string, token uint64) {
	votes := map[uint64]int{}
	for _, s := range up {
		if s.Goose == nil {
			continue
		}
		if votes[s.Token]++; votes[s.Token] >= n {
			return s.Goose.Name, s.Token
		}
	}
	return "", 0
}

// goose returns the goose that all agents name.
func (w *watch) goose() (name string, token uint64) {
	w.m.Look(func(up map[string]api.Status) { name, token = named(up, w.n) })
	return name, token
}

// settleWait bounds how long a flock may take to heal.
const settleWait = time.Minute

// votersOf returns the number of voters of a flock.
func votersOf(agents int) int {
	switch {
	case agents < 3:
		return 1
	case agents < 5:
		return 3
	}
	return 5
}

// settled waits until every agent is alive, knows the same goose and the full set of voters.
func (w *watch) settled(ctx context.Context) error {
	voters := votersOf(w.n)
	return w.until(ctx, "the flock to settle", settleWait, func(up map[string]api.Status) bool {
		if name, _ := named(up, w.n); name == "" {
			return false
		}
		for _, s := range up {
			if len(s.Config.Voters) < voters || s.Alive < w.n {
				return false
			}
		}
		return true
	})
}

// atRandom waits for a random part of a heartbeat: faults do not wait for one.
func (w *watch) atRandom(ctx context.Context) error {
	h := time.Duration(w.latest(w.f.Names()[0]).Heartbeat * float64(time.Millisecond))
	return flock.Sleep(ctx, time.Duration(w.rng.Int64N(int64(max(h, time.Millisecond)))))
}
