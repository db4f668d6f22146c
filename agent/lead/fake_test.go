package lead

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"duckduckgoose/agent/api"
)

const length = time.Second // of a lease

// fake is an agent's end of a session, told what to do by the test. It notes
// what it is told, with the time since the test began.
type fake struct {
	start time.Time
	slept atomic.Int64 // how far the boot clock ran ahead of Go's timers
	ready chan struct{}
	done  chan struct{}

	mu    sync.Mutex // guards queue, heard and mark
	queue []api.LeadEvent
	heard []string
	mark  uint64
}

func newFake() *fake {
	return &fake{start: time.Now(), ready: make(chan struct{}, 1), done: make(chan struct{})}
}

var _ Session = (*fake)(nil)

// clock begins at an hour, so that zero is never a moment of the test.
func (f *fake) clock() time.Duration { return time.Hour + f.since() }

func (f *fake) since() time.Duration { return time.Since(f.start) + time.Duration(f.slept.Load()) }

// sleep makes the boot clock jump, which no timer knows of.
func (f *fake) sleep(d time.Duration) { f.slept.Add(int64(d)) }

func (f *fake) Ready() <-chan struct{} { return f.ready }
func (f *fake) Done() <-chan struct{}  { return f.done }

func (f *fake) Next() (api.LeadEvent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		return api.LeadEvent{}, false
	}
	e := f.queue[0]
	f.queue = f.queue[1:]
	return e, true
}

func (f *fake) Drained(token uint64, then api.Then) {
	what := "drained"
	if then != api.ThenWait {
		what += ", " + string(then)
	}
	f.note("%s %d", what, token)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = nil
}

func (f *fake) Advance(_ context.Context, token, to uint64) error {
	f.mu.Lock()
	taken := to <= f.mark
	if !taken {
		f.mark = to
	}
	f.mu.Unlock()
	if taken {
		return api.WithCode(api.CodeMarkTaken, api.Conflict("the mark is %d already", to))
	}
	f.note("advance %d to %d", token, to)
	return nil
}

func (f *fake) Late(token uint64) { f.note("late %d", token) }

// note is also how work says what it sees.
func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, fmt.Sprintf("%dms "+format, append([]any{f.since().Milliseconds()}, args...)...))
}

func (f *fake) send(e api.LeadEvent) {
	f.mu.Lock()
	f.queue = append(f.queue, e)
	f.mu.Unlock()
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// renew hands out a whole lease, counted from now.
func (f *fake) renew(token uint64) {
	f.send(api.LeadEvent{Token: token, Until: int64(f.clock() + length), Lease: int64(length)})
}

func (f *fake) stop(token uint64, why string) { f.send(api.LeadEvent{Token: token, Stop: why}) }

// renewFor renews every 100 ms, for as long as it says.
func (f *fake) renewFor(token uint64, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		f.renew(token)
	}
}

// story runs a test in a bubble and gives what the session heard, in order.
func story(t *testing.T, tell func(t *testing.T, f *fake)) (heard []string) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		tell(t, f)
		synctest.Wait()
		heard = f.heard
	})
	return heard
}
