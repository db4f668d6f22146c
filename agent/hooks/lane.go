package hooks

import (
	"context"
	"sync"
)

// lane is the queue between the goroutine that sees events and the one that runs hooks.
type lane struct {
	wake chan struct{} // of capacity 1: look again

	mu struct { // guards what follows
		sync.Mutex
		queue  Queue
		closed bool
	}
}

func newLane() *lane { return &lane{wake: make(chan struct{}, 1)} }

func (l *lane) put(e Event) (replaced bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.look()
	return l.mu.queue.Put(e)
}

// close keeps only the latest event about the role.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.closed = true
	l.mu.queue.KeepRole()
	l.look()
}

func (l *lane) look() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next waits for an event; false: there will be no more.
func (l *lane) next(ctx context.Context) (Event, bool) {
	for {
		l.mu.Lock()
		e, ok := l.mu.queue.Next()
		closed := l.mu.closed
		l.mu.Unlock()
		if ok || closed {
			return e, ok
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return Event{}, false
		}
	}
}
