//go:build linux

package run

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/lead"
)

const leaseLength = time.Second

func TestDeadlinesComeSoonerForManyProcessesAndOnABusyMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			processes    int64
			late, sooner time.Duration
		}{
			{}, {100, 0, 0}, {1000, 0, min(max(0, killTimeOf(1000)-leaseLength/10), share(leaseLength, mostSooner))}, {5000, 0, share(leaseLength, mostSooner)},
			{0, 99 * time.Millisecond, 0}, {0, 150 * time.Millisecond, 100 * time.Millisecond},
			{100, 150 * time.Millisecond, 100*time.Millisecond + killTimeOf(100)}, {0, time.Minute, share(leaseLength, mostSooner)},
		} {
			a := newFakeAgent()
			b := &subtree{reaper: newReaper()}
			b.empty.Store(false)
			b.size.Store(c.processes)
			late := &lateness{clock: a.clock, wakes: decayingMax{c.late, a.clock() + 4*time.Millisecond}}
			late.guess = func() time.Duration { return (&command{subtree: b}).killTime((&killTimes{}).guess) }
			g := &guard{late: late}
			s, sooner := earlySession{a.echo, g}, c.sooner
			until := a.clock() + leaseLength
			a.send(api.LeadEvent{Token: 7, Until: int64(until), Lease: int64(leaseLength)})
			_, ok := s.Next()
			require.False(t, ok, "run has not echoed it")
			time.Sleep(4 * time.Millisecond) // in virtual time
			e, ok := s.Next()
			require.True(t, ok)
			require.Equal(t, api.LeadEvent{Token: 7, Until: int64(until - sooner), Lease: int64(leaseLength)}, e)
			a.send(api.LeadEvent{Token: 7, Stop: api.StopStopped})
			e, ok = s.Next()
			require.True(t, ok)
			require.Equal(t, api.LeadEvent{Token: 7, Stop: api.StopStopped}, e)
			a.echo.close()
		}
	})
}

// fakeAgent is the agent's end of a session, and run's end of the link.
type fakeAgent struct {
	start time.Time
	ready chan struct{}
	done  chan struct{}
	echo  *echoed

	mu      sync.Mutex // guards what follows
	queue   []api.LeadEvent
	stopped bool       // run
	owed    []deadline // echoes of a run that is stopped
	asked   int
	heard   []string
}

func newFakeAgent() *fakeAgent {
	a := &fakeAgent{start: time.Now(), ready: make(chan struct{}, 1), done: make(chan struct{})}
	a.echo = newEchoed(a, &lateness{clock: a.clock}, a.ask)
	return a
}

func (a *fakeAgent) clock() time.Duration { return time.Hour + time.Since(a.start) }

func (a *fakeAgent) Ready() <-chan struct{} { return a.ready }
func (a *fakeAgent) Done() <-chan struct{}  { return a.done }
func (a *fakeAgent) Late(token uint64)      { a.note("late %d", token) }

func (a *fakeAgent) Advance(context.Context, uint64, uint64) error { return nil }

func (a *fakeAgent) Next() (api.LeadEvent, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return api.LeadEvent{}, false
	}
	e := a.queue[0]
	a.queue = a.queue[1:]
	return e, true
}

func (a *fakeAgent) Drained(token uint64, then api.Then) {
	a.mu.Lock()
	a.queue = nil
	a.mu.Unlock()
	if then == api.ThenWait {
		a.note("drained %d", token)
	} else {
		a.note("drained %d, %s", token, then)
	}
}

func (a *fakeAgent) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard = append(a.heard, fmt.Sprintf("%dms "+format, append([]any{time.Since(a.start).Milliseconds()}, args...)...))
}

func (a *fakeAgent) send(e api.LeadEvent) {
	a.mu.Lock()
	a.queue = append(a.queue, e)
	a.mu.Unlock()
	select {
	case a.ready <- struct{}{}:
	default:
	}
}

func (a *fakeAgent) renewFor(token uint64, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		a.send(api.LeadEvent{Token: token, Until: int64(a.clock() + leaseLength), Lease: int64(leaseLength)})
	}
}

// ask is run: it echoes 3 ms later, unless it is stopped.
func (a *fakeAgent) ask(d deadline) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.stopped {
		a.owed = append(a.owed, d)
		return
	}
	time.AfterFunc(3*time.Millisecond, func() { a.echo.hear(d) })
}

func (a *fakeAgent) stopRun(stopped bool) {
	a.mu.Lock()
	a.stopped = stopped
	owed := a.owed
	if !stopped {
		a.owed = nil
	}
	a.mu.Unlock()
	if !stopped {
		for _, d := range owed {
			a.echo.hear(d)
		}
	}
}

// echoStory runs work through an echoed session, and gives what was heard.
func echoStory(t *testing.T, tell func(a *fakeAgent)) (heard []string, err error) {
	synctest.Test(t, func(t *testing.T) {
		a := newFakeAgent()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			result <- lead.Run(ctx, a.echo, a.clock, func(ctx context.Context, l lead.Lease) error {
				a.note("work %d", l.Token())
				require.Equal(t, leaseLength, a.echo.length())
				<-ctx.Done()
				a.note("cancelled: %v", context.Cause(ctx))
				return nil
			})
		}()
		tell(a)
		synctest.Wait()
		cancel()
		err = <-result
		a.echo.close()
		heard = a.heard
	})
	return heard, err
}

func TestDeadlinesCountOnceEchoed(t *testing.T) {
	heard, err := echoStory(t, func(a *fakeAgent) { a.renewFor(7, 3*time.Second) })
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{"3ms work 7", "3000ms cancelled: context canceled", "3000ms drained 7, step down"}, heard)
}

func TestSilentRunIsAnUnrenewedLeaseAndTheAgentStepsDown(t *testing.T) {
	heard, err := echoStory(t, func(a *fakeAgent) {
		a.renewFor(7, time.Second)
		a.stopRun(true)
		a.renewFor(7, 3*time.Second)
		require.Equal(t, 11, a.asked, "one deadline is on its way, and no more")
	})
	require.ErrorIs(t, err, lead.ErrStopped)
	// The last echoed deadline is of 900 ms; that of 1000 ms stays unanswered.
	require.Equal(t, []string{"3ms work 7", "1500ms cancelled: the goose's lease was lost", "1500ms drained 7, step down"}, heard)
}

func TestRunThatWasSilentBeforeWorkBegan(t *testing.T) {
	heard, err := echoStory(t, func(a *fakeAgent) {
		a.stopRun(true)
		a.renewFor(7, 3*time.Second)
		<-a.echo.Done() // the agent itself would go on
	})
	require.ErrorIs(t, err, lead.ErrStopped)
	require.Equal(t, []string{"600ms drained 7, step down"}, heard)
}

func TestRunThatSpeaksInTimeKeepsTheWork(t *testing.T) {
	heard, err := echoStory(t, func(a *fakeAgent) {
		a.renewFor(7, time.Second)
		a.stopRun(true)
		a.renewFor(7, 200*time.Millisecond)
		a.stopRun(false)
		a.renewFor(7, time.Second)
		require.Equal(t, 200*time.Millisecond, a.echo.late.wakes.worst)
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{"3ms work 7", "2200ms cancelled: context canceled", "2200ms drained 7, step down"}, heard)
}

func TestWorkIsGivenUpWhereProcessesWakeTooLate(t *testing.T) {
	heard, err := echoStory(t, func(a *fakeAgent) {
		a.renewFor(7, time.Second)
		a.stopRun(true)
		a.renewFor(7, 300*time.Millisecond) // too late for kills; the lease itself would last
		a.stopRun(false)
		<-a.echo.Done()
	})
	require.ErrorIs(t, err, lead.ErrStopped)
	require.Equal(t, []string{"3ms work 7", "1300ms cancelled: the goose's lease was lost", "1300ms drained 7, step down"}, heard)
}

func TestStopOvertakesTheEcho(t *testing.T) {
	heard, _ := echoStory(t, func(a *fakeAgent) {
		a.renewFor(7, 100*time.Millisecond)
		a.stopRun(true)
		a.renewFor(7, 100*time.Millisecond)
		a.send(api.LeadEvent{Token: 7, Stop: api.StopSteppedDown})
		synctest.Wait()
		a.stopRun(false)
		time.Sleep(5 * time.Second)
	})
	require.Equal(t, []string{"3ms work 7", "200ms cancelled: the goose steps down", "200ms drained 7"}, heard)
}

func TestStopOfWhatWasNotEchoedYetIsDrainedAndNeverBegun(t *testing.T) {
	heard, _ := echoStory(t, func(a *fakeAgent) {
		a.stopRun(true)
		a.renewFor(7, 100*time.Millisecond)
		a.send(api.LeadEvent{Token: 7, Stop: api.StopLost})
		synctest.Wait()
		a.stopRun(false) // the echo comes after all
		time.Sleep(5 * time.Second)
	})
	require.Equal(t, []string{"100ms drained 7"}, heard)
}

func TestNextPeriodBeginsWithItsOwnToken(t *testing.T) {
	heard, _ := echoStory(t, func(a *fakeAgent) {
		a.renewFor(7, time.Second)
		a.send(api.LeadEvent{Token: 7, Stop: api.StopLost})
		time.Sleep(time.Second)
		a.renewFor(9, time.Second)
	})
	require.Equal(t, []string{
		"3ms work 7", "1000ms cancelled: the goose's lease was lost", "1000ms drained 7",
		"2003ms work 9", "3000ms cancelled: context canceled", "3000ms drained 9, step down",
	}, heard)
}
