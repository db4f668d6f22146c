package port

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// servedAtOnce bounds the requests that memberlist handles at the same time: each may
	// carry the state of the whole flock. Others wait for their turn, so that hundreds of
	// agents that join at once leave time for the election.
	servedAtOnce = 1
	// turnMost is how long a request that is being handled may delay the next one.
	turnMost = 20 * time.Millisecond
	// turnHere is the same if its sender is on this machine. Such a turn lasts until the sender
	// has taken the answer, which costs more than to make it, and as long again: half of a
	// processor is for others.
	turnHere = 100 * time.Millisecond
	// hurry is how long turns are shorter once one has lasted for the most: its sender hangs,
	// or is hostile.
	hurry = time.Second
	// turnsAtOnce is how many requests pass before they are paced: then there is one turn
	// each turnEvery. Both ends of a request work for milliseconds on the state of a large
	// flock, and memberlist's goroutines are not behind those of the election.
	turnsAtOnce = 16
	turnEvery   = 10 * time.Millisecond
	// turnWait is how long a request waits for its turn. Its sender gives up after that.
	turnWait = 8 * time.Second
)

// turns lets requests through in the order of their arrival. Those from this machine have
// turns of their own: they are slow on purpose, and keep no other machine waiting.
type turns struct {
	here   bool          // for senders on this machine
	head   chan struct{} // of capacity 1: held by the request that is next
	served chan struct{} // has an element for each request that is being handled
	paced  time.Time     // guarded by head: when all turns so far are over, at the pace
	slowAt atomic.Int64  // when a turn last lasted for the most, in ns
}

func newTurns(here bool) *turns {
	return &turns{here: here, head: make(chan struct{}, 1), served: make(chan struct{}, servedAtOnce)}
}

// wait waits for a turn, until turnWait or the end of ctx, or until wanted, called when the
// turn comes, is false; then ok is false. The caller calls done when the request has been
// handled.
func (t *turns) wait(ctx context.Context, wanted func() bool) (done func(), ok bool) {
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
	if !wanted() {
		return nil, false
	}
	if now := time.Now(); t.paced.Before(now) {
		t.paced = now
	}
	t.paced = t.paced.Add(turnEvery)
	select {
	case <-time.After(time.Until(t.paced) - turnsAtOnce*turnEvery):
	case <-ctx.Done():
		return nil, false
	}
	select {
	case t.served <- struct{}{}:
	case <-ctx.Done():
		return nil, false
	}
	began, over := time.Now(), sync.OnceFunc(func() { <-t.served })
	most, hurried := turnMost, turnEvery
	if t.here {
		most, hurried = turnHere, turnMost
	}
	hurries := began.UnixNano()-t.slowAt.Load() < int64(hurry)
	if hurries {
		most = hurried
	}
	timer := time.AfterFunc(most, func() {
		if !hurries {
			t.slowAt.Store(time.Now().UnixNano())
		}
		over()
	})
	return func() {
		if timer.Stop() && t.here {
			time.AfterFunc(time.Since(began), over)
		} else {
			over()
		}
	}, true
}
