// Package snapshot keeps the latest status of an election, and wakes its watchers.
package snapshot

import (
	"context"
	"iter"
	"math"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

// Latest holds what the loop has published. Each reader judges by the boot clock
// whether a lease is still valid and a goose was heard lately. So answers are right
// even if the loop hangs.
type Latest struct {
	Clock   func() time.Duration
	Started time.Duration
	HeardAt atomic.Int64 // boot clock of the last heartbeat that named a goose
	Counts  func() map[string]uint64
	// Told says that watchers know of a lapse that the loop has not seen yet.
	Told atomic.Bool

	mu struct { // guards what follows; held for moments only
		sync.Mutex
		seq    uint64
		lease  election.Lease // zero: none
		latest *snapshot
	}
}

// snapshot is one published state. It never changes.
type snapshot struct {
	status  api.Status // Role, Goose, Token and Lease as they are when nothing has run out
	token   uint64     // this agent's own, while it leads; 0 otherwise
	horizon time.Duration
	next    chan struct{} // closed when there is a newer one
	lapsed  bool          // watchers know that something has run out
}

// expires reports whether time alone changes what the snapshot shows.
func (n *snapshot) expires() bool {
	return n.status.Role != api.RoleDead && (n.token != 0 || n.status.Goose != nil)
}

// SetLease publishes a lease; zero: none.
func (ss *Latest) SetLease(l election.Lease) {
	ss.mu.Lock()
	ss.mu.lease = l
	ss.mu.Unlock()
}

// Lease returns the lease that is published; zero: none.
func (ss *Latest) Lease() election.Lease {
	_, l := ss.current()
	return l
}

func (ss *Latest) current() (*snapshot, election.Lease) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.mu.latest, ss.mu.lease
}

// Read returns the status as it is now.
func (ss *Latest) Read() api.Status {
	s := ss.Uncounted()
	s.Counters = ss.Counts()
	return s
}

// Uncounted returns the status as it is now without its counters, which cost
// more than all the rest.
func (ss *Latest) Uncounted() api.Status {
	s, _ := ss.judge(ss.current())
	return s
}

// judge returns the status that a snapshot shows now, without counters, and the
// time at which it changes without a new snapshot.
func (ss *Latest) judge(n *snapshot, l election.Lease) (s api.Status, until time.Duration) {
	s = n.status
	now := ss.Clock()
	s.Uptime = (now - ss.Started).Seconds()
	if s.Role == api.RoleDead {
		return s, math.MaxInt64
	}
	if n.token != 0 && l.Token == n.token && l.Until > now {
		s.Role = api.RoleGoose
		s.Token = n.token
		g := api.Goose{Name: s.Name, ID: s.ID, Addr: s.Addr, Term: s.Term}
		if s.Goose != nil {
			g.Tags = s.Goose.Tags
		}
		s.Goose = &g
		s.Lease = api.Lease{Valid: true, RemainingMS: api.Millis(l.Until - now), UntilBoottimeNS: int64(l.Until)}
		return s, l.Until
	}
	heardAt := time.Duration(ss.HeardAt.Load())
	if s.Goose == nil || s.Goose.ID == s.ID || now-heardAt >= n.horizon {
		s.Goose, s.Token, s.Since = nil, 0, nil
		return s, math.MaxInt64
	}
	g := *s.Goose
	g.HeardMS = api.Millis(now - heardAt)
	s.Goose = &g
	return s, heardAt + n.horizon
}

// Post publishes a new state and wakes the watchers. After horizon without a
// heartbeat it shows no goose.
func (ss *Latest) Post(s api.Status, token uint64, horizon time.Duration) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	n := &snapshot{status: s, token: token, horizon: horizon}
	ss.Told.Store(false)
	if old := ss.mu.latest; old != nil && old.lapsed && ss.looksLike(old, n) {
		// The watchers were told already: this is what they saw. If the loop knows of no
		// lapse, they have to hear when that is over.
		n.status.Seq, n.next, n.lapsed = old.status.Seq, old.next, n.expires()
		ss.Told.Store(n.lapsed)
		ss.mu.latest = n
		return
	}
	ss.replace(n)
}

// looksLike reports whether readers that saw old run out would see no difference in
// next; mu is held.
func (ss *Latest) looksLike(old, next *snapshot) bool {
	seen := func(n *snapshot, l election.Lease) api.Status {
		s, _ := ss.judge(n, l)
		s.Seq, s.Uptime = 0, 0
		s.Lease.RemainingMS, s.Lease.UntilBoottimeNS = 0, 0
		if s.Goose != nil {
			s.Goose.HeardMS = 0 // judge gives a copy
		}
		return s
	}
	gone := *old
	gone.horizon = 0 // it stays run out for them, though the goose was heard since
	return reflect.DeepEqual(seen(&gone, election.Lease{}), seen(next, ss.mu.lease))
}

// replace publishes a snapshot; mu is held.
func (ss *Latest) replace(n *snapshot) {
	ss.mu.seq++
	n.status.Seq, n.next = ss.mu.seq, make(chan struct{})
	old := ss.mu.latest
	ss.mu.latest = n
	if old != nil {
		close(old.next)
	}
}

// lapse tells the watchers that what n shows has run out: again, if somebody began to watch
// while it was valid once more. They must not depend on the loop, which may wait for a slow disk.
func (ss *Latest) lapse(n *snapshot) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.mu.latest.next != n.next {
		return
	}
	next := *ss.mu.latest // the loop may have posted it without a word: see Post
	next.lapsed = next.expires()
	ss.replace(&next)
	ss.Told.Store(next.lapsed)
}

// Watch yields the status at once and after every change; a slow reader skips
// to the latest. It ends with ctx or when closed is closed.
func (ss *Latest) Watch(ctx context.Context, closed <-chan struct{}) iter.Seq[api.Status] {
	return func(yield func(api.Status) bool) {
		timer := time.NewTimer(math.MaxInt64)
		defer timer.Stop()
		for {
			n, l := ss.current()
			s, until := ss.judge(n, l)
			if until == math.MaxInt64 && n.expires() && !n.lapsed {
				ss.lapse(n) // or this watcher would not hear when the goose is heard again
				continue
			}
			s.Counters = ss.Counts()
			if !yield(s) {
				return
			}
			for quiet := true; quiet; {
				timer.Reset(until - ss.Clock())
				select {
				case <-n.next:
					quiet = false
				case <-timer.C:
					was := s.Role
					if s, until = ss.judge(n, ss.Lease()); until == math.MaxInt64 || s.Role != was {
						ss.lapse(n) // the loop may do the same: only the first has an effect
					}
				case <-ctx.Done():
					return
				case <-closed:
					return
				}
			}
		}
	}
}
