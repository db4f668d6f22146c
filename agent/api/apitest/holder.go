package apitest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/api"
)

// Holder is one session of Lead. It hands out what the test tells it to, and
// notes what it is told.
type Holder struct {
	Peer   api.LeadPeer
	warden string

	answers atomic.Int64

	ready  chan struct{}
	done   chan struct{}
	closed chan struct{}
	once   sync.Once

	mu struct { // guards what follows
		sync.Mutex
		queue []api.LeadEvent
		heard []string
	}
}

var _ api.Holder = (*Holder)(nil)

// Send hands an event to the holder.
func (h *Holder) Send(e api.LeadEvent) {
	h.mu.Lock()
	h.mu.queue = append(h.mu.queue, e)
	h.mu.Unlock()
	select {
	case h.ready <- struct{}{}:
	default:
	}
}

// Renew hands out a whole lease, counted from now by the clock of the moment.
func (h *Holder) Renew(token uint64, now, lease time.Duration) {
	h.Send(api.LeadEvent{Token: token, Until: int64(now + lease), Lease: int64(lease)})
}

// Stop tells the holder to stop.
func (h *Holder) Stop(token uint64, why string) { h.Send(api.LeadEvent{Token: token, Stop: why}) }

// End closes Done: the agent hands out nothing more.
func (h *Holder) End() { close(h.done) }

// Closed is closed once Close was called.
func (h *Holder) Closed() <-chan struct{} { return h.closed }

// Heard is what the holder was told, in order.
func (h *Holder) Heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.mu.heard...)
}

// Ready gets a value after each Send.
func (h *Holder) Ready() <-chan struct{} { return h.ready }

// Next takes the oldest event.
func (h *Holder) Next() (api.LeadEvent, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.mu.queue) == 0 {
		return api.LeadEvent{}, false
	}
	e := h.mu.queue[0]
	h.mu.queue = h.mu.queue[1:]
	return e, true
}

// Drained notes it, and forgets what was handed out before.
func (h *Holder) Drained(token uint64, then api.Then) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.queue = nil
	what := fmt.Sprintf("drained %d", token)
	if then != api.ThenWait {
		what += ", " + string(then)
	}
	h.mu.heard = append(h.mu.heard, what)
}

// Late notes it.
func (h *Holder) Late(token uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.heard = append(h.mu.heard, fmt.Sprintf("late %d", token))
}

// Advance notes it.
func (h *Holder) Advance(_ context.Context, token, to uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.heard = append(h.mu.heard, fmt.Sprintf("advance %d to %d", token, to))
	return nil
}

// Answered counts it.
func (h *Holder) Answered() { h.answers.Add(1) }

// Answers is how many deadlines the holder was said to have read.
func (h *Holder) Answers() int { return int(h.answers.Load()) }

// Died notes it.
func (h *Holder) Died() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.heard = append(h.mu.heard, "died")
}

// WardenProof is the proof of every holder.
const WardenProof = 0x77

// Warden gives the agent's Warden, and WardenProof.
func (h *Holder) Warden() (path string, proof uint64) { return h.warden, WardenProof }

// Done is closed by End.
func (h *Holder) Done() <-chan struct{} { return h.done }

// Close closes Closed.
func (h *Holder) Close() { h.once.Do(func() { close(h.closed) }) }
