// Package quietlog keeps the log from harming its agent: [Log] limits how often the
// same thing is logged, so that nothing that arrives by network can fill a disk, and
// [Queue] keeps a log reader that stalls or dies from stopping the agent.
package quietlog

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// silence is how long a line of the same key is not repeated.
	silence = time.Minute
	// maxKeys bounds the memory that a flood of invented peers can take.
	maxKeys = 1024
	// sightsNeeded is how many datagrams in a row must say the same about their
	// sender before it is believed.
	sightsNeeded = 3
)

// Log writes at most one line per key and minute to Out. It is safe for many
// goroutines; its zero value with Out set is ready.
type Log struct {
	Out *slog.Logger

	mu struct { // guards what follows
		sync.Mutex
		last     map[string]time.Time
		searched time.Time // when old keys were last dropped
		sights   map[string]sight
	}
}

// sight is what a host was last seen to be, and how often in a row.
type sight struct {
	what  string
	times int
}

// Warn writes a line unless one of the same key was written within the minute.
func (q *Log) Warn(key, msg string, args ...any) {
	if q.Due(key) {
		q.Out.Warn(msg, args...)
	}
}

// Due reports whether a line of this key may be written now. The caller writes it.
func (q *Log) Due(key string) bool {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if last, known := q.mu.last[key]; known && now.Sub(last) < silence {
		return false
	}
	if q.mu.last == nil {
		q.mu.last = make(map[string]time.Time)
	}
	if len(q.mu.last) >= maxKeys && !q.forget(now) {
		return false
	}
	q.mu.last[key] = now
	return true
}

// ThirdTime reports whether a host was seen to be the same thing three times in
// a row. One datagram is not enough: it may be damaged where it names the flock
// or the key of its sender.
func (q *Log) ThirdTime(host, what string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.mu.sights[host]
	if s.what != what {
		s = sight{what: what}
	}
	s.times = min(s.times+1, sightsNeeded)
	if q.mu.sights == nil || len(q.mu.sights) >= maxKeys {
		q.mu.sights = make(map[string]sight)
	}
	q.mu.sights[host] = s
	return s.times == sightsNeeded
}

// forget drops the keys that may be written again, and tells whether that made
// room. mu is held. It searches at most once a second, or a flood of invented
// peers would cost a search each.
func (q *Log) forget(now time.Time) bool {
	if now.Sub(q.mu.searched) < time.Second {
		return false
	}
	q.mu.searched = now
	for k, t := range q.mu.last {
		if now.Sub(t) >= silence {
			delete(q.mu.last, k)
		}
	}
	return len(q.mu.last) < maxKeys
}
