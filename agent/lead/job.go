package lead

import (
	"context"
	"sync"
	"time"
)

// lease is the Lease of one call of work.
type lease struct {
	token uint64
	clock func() time.Duration

	mu struct { // guards what follows
		sync.Mutex
		until time.Duration
		over  bool
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

// renew takes a newer deadline. Once somebody has seen that the lease was over,
// it stays over. A pause that nobody noticed harms nobody, as the agent was
// bound all the while.
func (l *lease) renew(until time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.until = until
}

// end makes the lease be over now.
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

	cancelled bool // told to end, or its caller was
	late      bool // the session knows that it goes on past its deadline

	err      error
	panicked bool // or left by runtime.Goexit
}

func (j *job) cancel(cause error) {
	if !j.cancelled {
		j.cancelled = true
		j.end(cause)
	}
}

// threshold is how much of a lease must be left for work to go on (section 9: 40 %).
func threshold(length time.Duration) time.Duration { return length * 2 / 5 }
