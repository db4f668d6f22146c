package agent

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// counters counts what happened, by name. Names are made on first use; a
// caller on a hot path keeps the pointer.
type counters struct {
	byName  sync.Map // string -> *atomic.Uint64
	traffic traffic
}

// of gives the counter of a name.
func (c *counters) of(name string) *atomic.Uint64 {
	if v, ok := c.byName.Load(name); ok {
		return v.(*atomic.Uint64)
	}
	v, _ := c.byName.LoadOrStore(name, new(atomic.Uint64))
	return v.(*atomic.Uint64)
}

// all copies the counters.
func (c *counters) all() map[string]uint64 {
	m := make(map[string]uint64)
	c.byName.Range(func(k, v any) bool {
		m[k.(string)] = v.(*atomic.Uint64).Load()
		return true
	})
	return m
}

const (
	// quietFor is how long a line about the same thing at the same peer is not repeated.
	quietFor = time.Minute
	// quietKeys bounds what a flood of invented peers can make us remember.
	quietKeys = 1024
)

// quietLog writes at most one line a minute per key, so that nothing that
// arrives by network can fill a disk.
type quietLog struct {
	log *slog.Logger

	mu struct { // guards what follows
		sync.Mutex
		last     map[string]time.Time
		searched time.Time // when room was last made
		sights   map[string]sight
	}
}

// warn writes a line unless one of the same key was written within the minute.
func (q *quietLog) warn(key, msg string, args ...any) {
	if q.due(key) {
		q.log.Warn(msg, args...)
	}
}

// sight is what a host was last seen to be, and how often in a row.
type sight struct {
	what  string
	times int
}

// sightsNeeded is how often in a row datagrams must say the same of their
// sender to be believed.
const sightsNeeded = 3

// due tells whether a line of this key may be written now; the caller writes it.
func (q *quietLog) due(key string) bool {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if last, known := q.mu.last[key]; known && now.Sub(last) < quietFor {
		return false
	}
	if q.mu.last == nil {
		q.mu.last = make(map[string]time.Time)
	}
	if len(q.mu.last) >= quietKeys && !q.forget(now) {
		return false
	}
	q.mu.last[key] = now
	return true
}

// thirdTime tells whether the same has been seen of a host three times in a
// row: a datagram may be damaged in what names its sender's flock or key.
func (q *quietLog) thirdTime(host, what string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.mu.sights[host]
	if s.what != what {
		s = sight{what: what}
	}
	s.times = min(s.times+1, sightsNeeded)
	if q.mu.sights == nil || len(q.mu.sights) >= quietKeys {
		q.mu.sights = make(map[string]sight)
	}
	q.mu.sights[host] = s
	return s.times == sightsNeeded
}

// forget makes room, and tells whether there is any; mu is held. It looks at
// most once a second: a flood of invented peers must not cost a search each.
func (q *quietLog) forget(now time.Time) bool {
	if now.Sub(q.mu.searched) < time.Second {
		return false
	}
	q.mu.searched = now
	for k, t := range q.mu.last {
		if now.Sub(t) >= quietFor {
			delete(q.mu.last, k)
		}
	}
	return len(q.mu.last) < quietKeys
}
