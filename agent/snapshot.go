package agent

import (
	"context"
	"iter"
	"strings"
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
	lease   atomic.Pointer[election.Lease] // nil: none
	heardAt atomic.Int64                   // boot clock of the last heartbeat that named a goose
	notice  atomic.Pointer[notice]
	counts  *counters
}

// notice is one published state. It never changes.
type notice struct {
	status  Status // Role, Goose, Token and Lease as they are when nothing has run out
	token   uint64 // this agent's own, while it leads; 0 otherwise
	horizon time.Duration
	next    chan struct{} // closed when a newer notice stands
}

// visible is all that makes a notice differ from the one before. It is comparable.
type visible struct {
	role     election.Role
	dead     bool
	leased   bool
	goose    election.ID
	token    uint64
	record   election.Record
	members  uint64
	netem    string
	warnings string
}

// read gives the status as it is now.
func (b *board) read() Status {
	n := b.notice.Load()
	s := n.status
	now := b.clock()
	s.Uptime = (now - b.started).Seconds()
	s.Counters = b.counts.all()
	if s.Role == api.RoleDead {
		return s
	}
	if l := b.lease.Load(); n.token != 0 && l != nil && l.Token == n.token && l.Until > now {
		s.Role = api.RoleGoose
		s.Token = n.token
		s.Goose = &api.Goose{Name: s.Name, ID: s.ID, Addr: s.Addr, Term: s.Term}
		s.Lease = api.Lease{Valid: true, RemainingMS: millis(l.Until - now), UntilBoottimeNS: int64(l.Until)}
		return s
	}
	heard := now - time.Duration(b.heardAt.Load())
	if s.Goose == nil || s.Goose.ID == s.ID || heard >= n.horizon {
		s.Goose, s.Token = nil, 0
		return s
	}
	g := *s.Goose
	g.HeardMS = millis(heard)
	s.Goose = &g
	return s
}

// post publishes a new state and wakes the watchers.
func (b *board) post(s Status, token uint64, horizon time.Duration) {
	n := &notice{status: s, token: token, horizon: horizon, next: make(chan struct{})}
	if old := b.notice.Swap(n); old != nil {
		close(old.next)
	}
}

// watch yields the status at once and after every change; a slow reader skips
// to the latest. It ends with ctx or when closed is closed.
func (b *board) watch(ctx context.Context, closed <-chan struct{}) iter.Seq[Status] {
	return func(yield func(Status) bool) {
		for {
			next := b.notice.Load().next
			if !yield(b.read()) {
				return
			}
			select {
			case <-next:
			case <-ctx.Done():
				return
			case <-closed:
				return
			}
		}
	}
}

func millis(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}

// lines joins warnings for comparing.
func lines(ws []string) string { return strings.Join(ws, "\n") }
