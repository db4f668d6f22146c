package port

import (
	"context"
	"time"
)

const (
	// servedAtOnce is how many requests of others memberlist works at: each may bring and
	// take the state of the whole flock. The next ones wait for their turn, so that
	// hundreds of agents that join at once leave time for the election.
	servedAtOnce = 2
	// turnMost is how long one that is served may keep the next one waiting: it may be slow.
	turnMost = 20 * time.Millisecond
	// turnWait is how long a request waits for its turn. Who sent it gives up then.
	turnWait = 8 * time.Second
)

// turns lets requests through in the order in which they come.
type turns struct {
	head   chan struct{} // of capacity 1: held by the one that is next
	served chan struct{} // a place for each that is served
}

func newTurns() turns {
	return turns{head: make(chan struct{}, 1), served: make(chan struct{}, servedAtOnce)}
}

// wait waits for a turn; false: it did not come in time. The end of ctx ends the wait.
// What it gives must be called when the request is served.
func (t *turns) wait(ctx context.Context) (done func(), ok bool) {
	late := time.NewTimer(turnWait)
	defer late.Stop()
	select {
	case t.head <- struct{}{}:
	case <-late.C:
		return nil, false
	case <-ctx.Done():
		return nil, false
	}
	defer func() { <-t.head }()
	slow := time.NewTimer(turnMost)
	defer slow.Stop()
	select {
	case t.served <- struct{}{}:
		return func() { <-t.served }, true
	case <-slow.C:
		return func() {}, true
	case <-ctx.Done():
		return nil, false
	}
}
