package agent

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

// Status is what an agent knows at one moment, judged at the moment of the call.
type Status = api.Status

// board holds what the loop has published. Whether a lease is valid, and
// whether a goose was heard lately, is judged by the reader's clock at the
// reader's moment: no answer depends on the loop being alive.
type board struct {
	clock   func() time.Duration
	started time.Duration
	heardAt atomic.Int64 // boot clock of the last heartbeat that named a goose
	counts  func() map[string]uint64
	// told is that watchers were told of a lapse that the loop has not seen yet.
	told atomic.Bool

	mu struct { // guards what follows; held for moments only
		sync.Mutex
		seq    uint64
		lease  election.Lease // zero: none
		notice *notice
	}
}

// notice is one published state. It never changes.
type notice struct {
	status  Status // Role, Goose, Token and Lease as they are when nothing has run out
	token   uint64 // this agent's own, while it leads; 0 otherwise
	horizon time.Duration
	next    chan struct{} // closed when a newer notice stands
	lapsed  bool          // that something has run out was told to the watchers
}

// visible is all that makes a notice differ from the one before. It is comparable.
type visible struct {
	role     election.Role
	leased   bool
	goose    election.ID
	token    uint64
	members  uint64
	netem    string
	warnings string
}

// setLease publishes a lease; zero: none.
func (b *board) setLease(l election.Lease) {
	b.mu.Lock()
	b.mu.lease = l
	b.mu.Unlock()
}

func (b *board) publishedLease() election.Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.lease
}

// read gives the status as it is now.
func (b *board) read() Status {
	b.mu.Lock()
	n, l := b.mu.notice, b.mu.lease
	b.mu.Unlock()
	s, _ := b.judge(n, l)
	return s
}

// judge gives the status that a notice stands for now, and until when time
// alone does not change it.
func (b *board) judge(n *notice, l election.Lease) (s Status, until time.Duration) {
	s = n.status
	now := b.clock()
	s.Uptime = (now - b.started).Seconds()
	s.Counters = b.counts()
	if s.Role == api.RoleDead {
		return s, math.MaxInt64
	}
	if n.token != 0 && l.Token == n.token && l.Until > now {
		s.Role = api.RoleGoose
		s.Token = n.token
		s.Goose = &api.Goose{Name: s.Name, ID: s.ID, Addr: s.Addr, Term: s.Term}
		s.Lease = api.Lease{Valid: true, RemainingMS: millis(l.Until - now), UntilBoottimeNS: int64(l.Until)}
		return s, l.Until
	}
	heardAt := time.Duration(b.heardAt.Load())
	if s.Goose == nil || s.Goose.ID == s.ID || now-heardAt >= n.horizon {
		s.Goose, s.Token = nil, 0
		return s, math.MaxInt64
	}
	g := *s.Goose
	g.HeardMS = millis(now - heardAt)
	s.Goose = &g
	return s, heardAt + n.horizon
}

// post publishes a new state and wakes the watchers.
func (b *board) post(s Status, token uint64, horizon time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := &notice{status: s, token: token, horizon: horizon}
	b.told.Store(false)
	if old := b.mu.notice; old != nil && old.lapsed && b.looksLike(old, n) {
		// The watchers were told already: this is what they saw.
		n.status.Seq, n.next = old.status.Seq, old.next
		b.mu.notice = n
		return
	}
	b.replace(n)
}

// looksLike tells that readers cannot tell two notices apart now; mu is held.
func (b *board) looksLike(old, next *notice) bool {
	seen := func(n *notice) Status {
		s, _ := b.judge(n, b.mu.lease)
		s.Seq, s.Uptime, s.Counters = 0, 0, nil
		s.Lease.RemainingMS, s.Lease.UntilBoottimeNS = 0, 0
		if s.Goose != nil {
			s.Goose.HeardMS = 0 // judge gives a copy
		}
		return s
	}
	return reflect.DeepEqual(seen(old), seen(next))
}

// replace puts a notice up; mu is held.
func (b *board) replace(n *notice) {
	b.mu.seq++
	n.status.Seq, n.next = b.mu.seq, make(chan struct{})
	old := b.mu.notice
	b.mu.notice = n
	if old != nil {
		close(old.next)
	}
}

// lapse tells the watchers, once, that what n shows has run out: they must
// not depend on the loop, which may hang in a slow disk.
func (b *board) lapse(n *notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.notice != n || n.lapsed {
		return
	}
	next := *n
	next.lapsed = true
	b.replace(&next)
	b.told.Store(true)
}

// watch yields the status at once and after every change; a slow reader skips
// to the latest. It ends with ctx or when closed is closed.
func (b *board) watch(ctx context.Context, closed <-chan struct{}) iter.Seq[Status] {
	return func(yield func(Status) bool) {
		timer := time.NewTimer(math.MaxInt64)
		defer timer.Stop()
		for {
			b.mu.Lock()
			n, l := b.mu.notice, b.mu.lease
			b.mu.Unlock()
			s, until := b.judge(n, l)
			if !yield(s) {
				return
			}
			for quiet := true; quiet; {
				timer.Reset(until - b.clock())
				select {
				case <-n.next:
					quiet = false
				case <-timer.C:
					was := s.Role
					if s, until = b.judge(n, b.publishedLease()); until == math.MaxInt64 || s.Role != was {
						b.lapse(n) // the loop may be about to say the same: one of them does
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

// lapsed tells that the watchers were told of a lapse before the loop saw it.
func (b *board) lapsed() bool { return b.told.Load() }

func millis(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}
