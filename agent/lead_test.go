package agent

// What Lead promises, sentence by sentence, and where it is shown: here, in
// lead (agent/lead/run_test.go), in client (agent/client), in grace_test.go.
//
//	calls work once per time this agent is goose   TestLeadWorksOncePerPeriodAndStopsBeforeItsLeaseEnds, lead TestWorkIsCalledOncePerGoosePeriod
//	  the same period, earned back                 lead TestLapseRegainedInThePeriodCallsWorkAgainWithItsToken
//	  it waits, before Run has started too         TestLeadBeforeRunAndAfter
//	never twice at once                            lead TestWorkIsNeverRunTwiceAtOnce
//	work's context is a child of the caller's      lead TestContextOfWorkIsAChildOfTheCallers
//	context.Cause says why it ended                lead TestCauseSaysWhyWorkEnds, TestEveryPlannedEndHandsOverWhenAllWorksHaveReturned
//	unrenewed lease: cancelled at 40 % left        lead TestUnrenewedLeaseIsCancelledAt40PercentLeft, TestASlowDiskEndsWorkByTheLeaseNotByTheLoop
//	step-down, Leave, stop: cancelled first, the   TestEveryPlannedEndHandsOverWhenAllWorksHaveReturned,
//	  lease renewed, transfer after all returned   lead TestPlannedEndRenewsUntilWorkHasReturnedAndThenDrains
//	  up to Config.Grace                           TestGraceEndsAHandOverButNotTheLease, grace TestTheLongestGraceOfThoseThatWorkCounts
//	late after a lapse: no campaign, a warning     TestLateWorkKeepsItsAgentFromCampaigning
//	returns by itself: step down, work's error     TestWorkThatReturnsStepsDown, lead TestWorkThatReturnsByItselfStepsDownAndEndsLead
//	returns after a cancel: the next period        TestLeadWaitsForTheNextPeriodAfterAStepDown, lead TestWorkThatReturnsAfterACancelWaitsForTheNextPeriod
//	the caller's context ends: cancel, wait,       TestTheCallersEndIsAStepDownOnceWorkHasReturned,
//	  step down, ctx.Err()                         lead TestCallersContextEndsWorkIsAwaitedAndTheAgentStepsDown
//	Try bounds the wait, Keep keeps the goose      TestTryAndKeepMakeAJobOfLead, lead option_test.go
//	a panic steps down, then goes on               TestAPanicStepsDownThenGoesOn, lead TestPanicInWorkStepsDownAndGoesOn
//	Until: the time left by the boot clock         lead TestUntilIsTheTimeLeftAndStaysOver, lead TestTheBootClockJudgesTheLease
//	a paused process: check Until before each act  client TestStoppedProcessActsNoMoreOnceItsLeaseIsOver
//	the token goes with each act                   ExampleAgent_Lead; agent/fence is who looks at it

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// worker is work for the goose that a test controls. It checks that two workers of a
// flock are never inside their leases at once, and that tokens grow.
type worker struct {
	f       *testFlock
	name    string
	begun   atomic.Int32
	token   atomic.Uint64
	cause   atomic.Pointer[error]
	linger  time.Duration // how long it goes on after its cancel
	end     chan error    // makes it return by itself
	started chan struct{}
	running atomic.Bool
}

// lead runs an agent's Lead in the background; done gets the result.
func (f *testFlock) lead(ctx context.Context, name string, linger time.Duration) (w *worker, done chan error) {
	w = &worker{f: f, name: name, linger: linger, end: make(chan error), started: make(chan struct{}, 64)}
	done = make(chan error, 1)
	a := f.agents[name].Agent
	go func() { done <- a.Lead(ctx, w.work) }()
	return w, done
}

func (w *worker) work(ctx context.Context, lease Lease) error {
	if w.running.Swap(true) {
		panic("work runs twice at once")
	}
	defer w.running.Store(false)
	if old := w.token.Swap(lease.Token()); old > lease.Token() {
		panic("a token went back")
	}
	w.begun.Add(1)
	w.started <- struct{}{}
	select {
	case err := <-w.end:
		return err
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	w.cause.Store(&cause)
	time.Sleep(w.linger)
	return ctx.Err()
}

func (w *worker) ended(t *testing.T) error {
	t.Helper()
	cause := w.cause.Load()
	require.NotNil(t, cause, "work was not cancelled")
	return *cause
}

func TestLeadWorksOncePerPeriodAndStopsBeforeItsLeaseEnds(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		a := f.goose()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		w, done := f.lead(ctx, a, 0)
		f.until(time.Second, "work", w.running.Load)
		require.Equal(t, f.agents[a].Status().Token, w.token.Load())
		f.sleep(10 * time.Second)
		require.EqualValues(t, 1, w.begun.Load())

		lease := f.agents[a].Status().Lease
		at := f.clock()
		require.NoError(t, f.agents[a].faults.Set("*: cut", 0))
		f.until(2*time.Second, "work ends", func() bool { return !w.running.Load() })
		require.ErrorIs(t, w.ended(t), ErrLeaseLost)
		require.Less(t, f.clock(), time.Duration(lease.UntilBoottimeNS)-100*time.Millisecond, "cancelled at 40 %% left, at %v of the cut", f.clock()-at)
		f.until(5*time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != a })
		f.heal()
		f.settle(3)
		f.until(5*time.Second, "work again: the goose, where none waits, hands over", w.running.Load)
		require.EqualValues(t, 2, w.begun.Load())

		cancel()
		require.ErrorIs(t, f.await(func() error { return <-done }), context.Canceled)
		f.until(time.Second, "it has stepped down", func() bool { return f.goose() != "" && f.goose() != a })
	})
}

func TestStepDownDrainsWorkFirstAndRenewsMeanwhile(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		a := f.goose()
		w, _ := f.lead(context.Background(), a, 3*time.Second)
		f.until(time.Second, "work", w.running.Load)
		at := time.Now()
		require.NoError(t, f.await(func() error {
			f.agents[a].cfg.Logger.Debug("step down")
			err := f.agents[a].StepDown(context.Background(), "")
			if w.running.Load() {
				return errors.New("handed over before work had ended")
			}
			return err
		}))
		require.ErrorIs(t, w.ended(t), ErrSteppedDown)
		require.InDelta(t, 3, time.Since(at).Seconds(), 0.1)
		f.settle(3)
		require.NotEqual(t, a, f.goose())
	})
}

func TestEveryPlannedEndHandsOverWhenAllWorksHaveReturned(t *testing.T) {
	for what, c := range map[string]struct {
		end   func(a *testAgent) error
		cause error
	}{
		"step-down": {func(a *testAgent) error { return a.StepDown(context.Background(), "") }, ErrSteppedDown},
		"leave":     {func(a *testAgent) error { return a.Leave(context.Background(), false) }, ErrSteppedDown},
		"stop":      {func(a *testAgent) error { a.cancel(); return nil }, ErrStopped},
	} {
		t.Run(what, func(t *testing.T) {
			inFlock(t, func(t *testing.T, f *testFlock) {
				f.found(5)
				f.allAlive()
				a := f.goose()
				quick, _ := f.lead(context.Background(), a, time.Second)
				slow, _ := f.lead(context.Background(), a, 3*time.Second)
				f.until(time.Second, "both work", func() bool { return quick.running.Load() && slow.running.Load() })
				token, at := f.agents[a].Status().Token, time.Now()
				ended := make(chan error, 1)
				go func() { ended <- c.end(f.agents[a]) }()
				f.until(100*time.Millisecond, "both are cancelled first", func() bool { return quick.cause.Load() != nil && slow.cause.Load() != nil })
				require.ErrorIs(t, quick.ended(t), c.cause)
				require.ErrorIs(t, slow.ended(t), c.cause)
				for slow.running.Load() {
					s := f.agents[a].Status()
					require.True(t, s.Lease.Valid, "renewed meanwhile, %v after", time.Since(at))
					require.Equal(t, token, s.Token)
					require.Equal(t, a, f.goose())
					f.sleep(20 * time.Millisecond)
				}
				require.InDelta(t, 3, time.Since(at).Seconds(), 0.1)
				f.until(time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != a })
				require.False(t, quick.running.Load())
				require.Less(t, time.Since(at), 3400*time.Millisecond, "handed over, and not by the end of the lease")
				require.NoError(t, f.await(func() error { return <-ended }))
			})
		})
	}
}

func TestLeadWaitsForTheNextPeriodAfterAStepDown(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		a, b := f.goose(), f.ducks()[0]
		w, done := f.lead(context.Background(), a, 0)
		f.lead(context.Background(), b, 0) // else the goose would come back to where the work is
		f.until(time.Second, "work", w.running.Load)
		token := w.token.Load()
		require.NoError(t, f.await(func() error { return f.agents[a].StepDown(context.Background(), b) }))
		require.ErrorIs(t, w.ended(t), ErrSteppedDown)
		f.settle(3)
		f.sleep(5 * time.Second)
		require.Empty(t, done, "Lead goes on")
		require.False(t, w.running.Load())
		require.NoError(t, f.await(func() error { return f.agents[b].StepDown(context.Background(), a) }))
		f.until(time.Second, "work again", w.running.Load)
		require.Greater(t, w.token.Load(), token)
	})
}

func TestTheCallersEndIsAStepDownOnceWorkHasReturned(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		a := f.goose()
		ctx, cancel := context.WithCancel(context.Background())
		w, done := f.lead(ctx, a, 2*time.Second)
		f.until(time.Second, "work", w.running.Load)
		cancel()
		f.until(10*time.Millisecond, "cancelled", func() bool { return w.cause.Load() != nil })
		require.ErrorIs(t, w.ended(t), context.Canceled)
		for w.running.Load() {
			require.Empty(t, done, "Lead waits for it")
			require.Equal(t, a, f.goose())
			f.sleep(20 * time.Millisecond)
		}
		require.ErrorIs(t, f.await(func() error { return <-done }), context.Canceled)
		f.until(time.Second, "it has stepped down", func() bool { return f.goose() != "" && f.goose() != a })
	})
}

func TestGraceEndsAHandOverButNotTheLease(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		for i := range 3 {
			f.start(nth(i), joining("10.0.0.1"), expecting(3), func(c *Config) { c.Grace = time.Second })
		}
		f.settle(3)
		a := f.goose()
		w, _ := f.lead(context.Background(), a, time.Minute)
		f.until(time.Second, "work", w.running.Load)
		at := time.Now()
		require.NoError(t, f.await(func() error { return f.agents[a].StepDown(context.Background(), "") }))
		require.Greater(t, time.Since(at), time.Second+400*time.Millisecond, "the lease that work holds runs out first")
		require.Less(t, time.Since(at), 2*time.Second)
		require.True(t, w.running.Load())
		f.warns(time.Second, a, "work of Lead still runs after its lease ended: this agent does not campaign until that work ends")
	})
}

func TestLateWorkKeepsItsAgentFromCampaigning(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		for _, name := range []string{"b", "c"} {
			f.start(name, joining("10.0.0.1"), withPriority(0)) // only a may lead
		}
		f.settle(3)
		w, _ := f.lead(context.Background(), "a", 10*time.Second)
		f.until(time.Second, "work", w.running.Load)
		token := f.agents["a"].Status().Token
		require.NoError(t, f.agents["a"].faults.Set("*: cut", 2*time.Second))
		f.until(5*time.Second, "late", func() bool { return !f.agreed("b") })
		f.warns(2*time.Second, "a", "still runs after its lease ended")
		f.sleep(5 * time.Second)
		require.Empty(t, f.goose(), "late work still runs")
		f.until(10*time.Second, "the goose again, once it has ended", func() bool { return f.goose() == "a" })
		require.Greater(t, f.agents["a"].Status().Token, token)
		f.until(time.Second, "work again", func() bool { return w.begun.Load() == 2 })
	})
}

func TestWorkThatReturnsStepsDown(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		a := f.goose()
		w, done := f.lead(context.Background(), a, 0)
		f.until(time.Second, "work", w.running.Load)
		failed := errors.New("out of bread")
		w.end <- failed
		require.ErrorIs(t, f.await(func() error { return <-done }), failed)
		f.until(time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != a })
	})
}

func TestWorkThatReturnsWhereNobodyCanTakeOverStopsNoOtherWork(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		w, done := f.lead(context.Background(), "a", 0)
		other, _ := f.lead(context.Background(), "a", 0)
		f.until(time.Second, "both work", func() bool { return w.running.Load() && other.running.Load() })
		w.end <- nil
		require.NoError(t, f.await(func() error { return <-done }))
		f.sleep(5 * time.Second)
		require.Equal(t, "a", f.goose())
		require.EqualValues(t, 1, other.begun.Load())
		require.True(t, other.running.Load())
	})
}

func TestAPanicStepsDownThenGoesOn(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		a := f.goose()
		panics := make(chan any, 1)
		go func() {
			defer func() { panics <- recover() }()
			_ = f.agents[a].Lead(context.Background(), func(context.Context, Lease) error { panic("quack") })
		}()
		f.until(time.Second, "the panic", func() bool { return len(panics) == 1 })
		require.Equal(t, "quack", <-panics)
		f.until(time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != a })
	})
}

func TestStopEndsWorkAndLead(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		a := f.goose()
		w, done := f.lead(context.Background(), a, time.Second)
		waiting, waited := f.lead(context.Background(), f.ducks()[0], 0)
		f.until(time.Second, "work", w.running.Load)
		f.stop(a)
		require.ErrorIs(t, w.ended(t), ErrStopped)
		require.ErrorIs(t, f.await(func() error { return <-done }), ErrStopped)
		f.until(time.Second, "another goose", func() bool { return f.goose() != "" })
		_, _ = waiting, waited
	})
}

func TestLeadBeforeRunAndAfter(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		a := f.agent("a")
		agent, err := New(f.config(a))
		require.NoError(t, err)
		a.Agent = agent
		w, done := f.lead(context.Background(), "a", 0)
		f.sleep(time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		a.cancel, a.ended = cancel, make(chan error, 1)
		go func() { a.ended <- agent.Run(ctx) }()
		f.until(5*time.Second, "work", w.running.Load)
		require.Error(t, agent.Run(ctx), "it runs once")
		f.stop("a")
		require.ErrorIs(t, f.await(func() error { return <-done }), ErrStopped)
		require.ErrorIs(t, agent.Lead(context.Background(), w.work), ErrStopped)
		require.ErrorIs(t, agent.StepDown(context.Background(), ""), ErrStopped)
	})
}

func TestDeathKillsWorkAndRevivalWorksAgain(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		w, _ := f.lead(context.Background(), "a", 0)
		f.until(time.Second, "work", w.running.Load)
		token := w.token.Load()
		require.NoError(t, f.agents["a"].Die(5*time.Second))
		f.until(time.Millisecond, "work ends", func() bool { return !w.running.Load() })
		require.ErrorIs(t, w.ended(t), ErrLeaseLost)
		late, _ := f.lead(context.Background(), "a", 0) // registered while dead
		f.until(10*time.Second, "both work again", func() bool { return w.running.Load() && late.running.Load() })
		require.Greater(t, w.token.Load(), token)
	})
}

func TestASlowDiskEndsWorkByTheLeaseNotByTheLoop(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		a := f.goose()
		w, _ := f.lead(context.Background(), a, 0)
		f.until(time.Second, "work", w.running.Load)
		release := make(chan struct{})
		require.NoError(t, f.agents[a].do(context.Background(), func(*life) error {
			<-release
			return nil
		}))
		f.until(time.Second, "work ends", func() bool { return !w.running.Load() })
		require.ErrorIs(t, w.ended(t), ErrLeaseLost)
		f.until(2*time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != a })
		close(release)
		f.settle(3)
	})
}
