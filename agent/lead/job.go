package lead

import (
	"context"
	"fmt"
	"sync"
	"time"

	"duckduckgoose/agent/api"
)

// lease is the Lease of one call of work.
type lease struct {
	token uint64
	clock func() time.Duration
	s     Session

	mu struct { // guards what follows
		sync.Mutex
		until time.Duration
		over  bool
		mark  uint64
	}
}

func (l *lease) Token() uint64 { return l.token }

func (l *lease) Until() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.mu.until - l.clock()
	if left <= 0 {
		l.mu.over = true
	}
	if l.mu.over {
		return min(left, 0)
	}
	return left
}

func (l *lease) Mark() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.mark
}

func (l *lease) Advance(ctx context.Context, to uint64) error {
	err := l.s.Advance(ctx, l.token, to)
	if err == nil {
		l.know(to)
	}
	if api.CodeOf(err) == api.CodeMarkTaken {
		return fmt.Errorf("%w: %w", ErrTaken, err)
	}
	return err
}

// know takes a mark that is committed.
func (l *lease) know(mark uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.mark = max(l.mu.mark, mark)
}

// renew takes a newer deadline. Once a caller has seen that the lease is over, it stays
// over. A pause that no caller noticed does no harm: the agent kept its promise all the
// while.
func (l *lease) renew(until time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.until = until
}

// end ends the lease now.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.over = true
}

// job is one call of work.
type job struct {
	lease  *lease
	ctx    context.Context
	end    context.CancelCauseFunc
	length time.Duration // of a whole lease

	cancelled bool // its context was cancelled
	late      bool // the session was told that it runs past its deadline

	err      error
	panicked bool // or left by runtime.Goexit
}

func (j *job) cancel(cause error) {
	if !j.cancelled {
		j.cancelled = true
		j.end(cause)
	}
}

// threshold returns how much of a lease must be left for work to go on: 40 %.
func threshold(length time.Duration) time.Duration { return length * 2 / 5 }
