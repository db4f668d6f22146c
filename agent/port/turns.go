package port

import (
	"context"
	"time"
)

const (
	// servedAtOnce bounds the requests that memberlist handles at the same time: each may
	// carry the state of the whole flock. Others wait for their turn, so that hundreds of
	// agents that join at once leave time for the election.
	servedAtOnce = 2
	// turnMost is how long a request that is being handled may delay the next one.
	turnMost = 20 * time.Millisecond
	// turnsAtOnce is how many requests pass before they are paced: then there is one turn
	// each turnEvery. Both ends of a request work for milliseconds on the state of a large
	// flock, and memberlist's goroutines are not behind those of the election.
	turnsAtOnce = 16
	turnEvery   = 10 * time.Millisecond
	// turnWait is how long a request waits for its turn. Its sender gives up after that.
	turnWait = 8 * time.Second
)

// turns lets requests through in the order of their arrival.
type turns struct {
	head   chan struct{} // of capacity 1: held by the request that is next
	served chan struct{} // has an element for each request that is being handled
	paced  time.Time     // guarded by head: when all turns so far are over, at the pace
}

func newTurns() turns {
	return turns{head: make(chan struct{}, 1), served: make(chan struct{}, servedAtOnce)}
}

// wait waits for a turn, until turnWait or the end of ctx; then ok is false. The caller
// calls done when the request has been handled.
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
	if now := time.Now(); t.paced.Before(now) {
		t.paced = now
	}
	t.paced = t.paced.Add(turnEvery)
	select {
	case <-time.After(time.Until(t.paced) - turnsAtOnce*turnEvery):
	case <-ctx.Done():
		return nil, false
	}
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
