package lead

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// run starts Run in the background and gives a function that waits for its error.
func run(ctx context.Context, f *fake, work func(context.Context, Lease) error, opts ...Option) (wait func() error) {
	errs := make(chan error, 1)
	go func() { errs <- Run(ctx, f, f.clock, work, opts...) }()
	return func() error { return <-errs }
}

// untilCancelled is work that notes its start and why it ended, and takes a
// while to end.
func (f *fake) untilCancelled(slow time.Duration) func(context.Context, Lease) error {
	return func(ctx context.Context, l Lease) error {
		f.note("work %d", l.Token())
		<-ctx.Done()
		f.note("cancelled %d: %v", l.Token(), context.Cause(ctx))
		time.Sleep(slow)
		return errors.New("cancelled")
	}
}

func TestWorkIsCalledOncePerGoosePeriod(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0))
		f.renewFor(7, 3*time.Second)
		f.stop(7, api.StopLost)
		time.Sleep(time.Second)
		f.renewFor(9, 3*time.Second)
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{
		"0ms work 7",
		"3000ms cancelled 7: the goose's lease was lost",
		"3000ms drained 7",
		"4000ms work 9",
		"7000ms cancelled 9: context canceled",
		"7000ms drained, step down 9",
	}, heard)
}

func TestWorkIsNeverRunTwiceAtOnce(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		running := 0
		slow := f.untilCancelled(1500 * time.Millisecond)
		wait := run(ctx, f, func(ctx context.Context, l Lease) error {
			running++
			defer func() { running-- }()
			require.Equal(t, 1, running)
			return slow(ctx, l)
		})
		f.renew(7)
		synctest.Wait()
		f.renewFor(8, 2*time.Second) // the next period begins while the work of the last goes on
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{
		"0ms work 7",
		"0ms late 7",
		"0ms cancelled 7: the goose's lease was lost",
		"1500ms drained 7",
		"1500ms work 8",
		"2000ms cancelled 8: context canceled",
		"2900ms late 8",
		"3500ms drained, step down 8",
	}, normalise(heard))
}

// normalise puts what happens at one moment in two goroutines into one order.
func normalise(heard []string) []string {
	if len(heard) > 2 && heard[1] == "0ms cancelled 7: the goose's lease was lost" {
		heard[1], heard[2] = heard[2], heard[1]
	}
	return heard
}

func TestContextOfWorkIsAChildOfTheCallers(t *testing.T) {
	story(t, func(t *testing.T, f *fake) {
		type key struct{}
		reason := errors.New("enough")
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
		var cause error
		wait := run(ctx, f, func(ctx context.Context, _ Lease) error {
			require.Equal(t, "value", ctx.Value(key{}))
			<-ctx.Done()
			cause = context.Cause(ctx)
			return nil
		})
		f.renew(7)
		synctest.Wait()
		cancel(reason)
		require.ErrorIs(t, wait(), context.Canceled)
		require.Equal(t, reason, cause)
	})
}

func TestCauseSaysWhyWorkEnds(t *testing.T) {
	for stop, cause := range map[string]error{
		api.StopLost:        ErrLeaseLost,
		api.StopSteppedDown: ErrSteppedDown,
		api.StopStopped:     ErrStopped,
		"a later word":      ErrLeaseLost,
	} {
		story(t, func(t *testing.T, f *fake) {
			ctx, cancel := context.WithCancel(t.Context())
			var got error
			wait := run(ctx, f, func(ctx context.Context, _ Lease) error {
				<-ctx.Done()
				got = context.Cause(ctx)
				return nil
			})
			f.renew(7)
			synctest.Wait()
			f.stop(7, stop)
			synctest.Wait()
			require.Equal(t, cause, got)
			cancel()
			require.ErrorIs(t, wait(), context.Canceled)
		})
	}
}

func TestUnrenewedLeaseIsCancelledAt40PercentLeft(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0))
		f.renewFor(7, 2*time.Second) // last at 1900 ms, for 1000 ms
		time.Sleep(5 * time.Second)
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{
		"0ms work 7",
		"2500ms cancelled 7: the goose's lease was lost",
		"2500ms drained 7",
	}, heard)
}

func TestLengthOfLeaseIsLearntWhenTheAgentDoesNotSay(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0))
		f.send(api.LeadEvent{Token: 7, Until: int64(f.clock() + length)})
		synctest.Wait()
		f.send(api.LeadEvent{Token: 7, Until: int64(f.clock() + length/2)}) // what is left may shrink (rule 5)
		time.Sleep(5 * time.Second)
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{"0ms work 7", "100ms cancelled 7: the goose's lease was lost", "100ms drained 7"}, heard)
}

func TestTheBootClockJudgesTheLease(t *testing.T) {
	// The machine sleeps: the boot clock jumps, and no timer knows.
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0))
		f.renew(7)
		synctest.Wait()
		f.sleep(time.Hour)
		time.Sleep(time.Second)
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Len(t, heard, 4)
	require.Equal(t, "0ms work 7", heard[0])
	require.Subset(t, heard, []string{"3600100ms late 7", "3600100ms cancelled 7: the goose's lease was lost"},
		"a tenth of a lease after the machine woke")
	require.Equal(t, "3600100ms drained 7", heard[3])
}

func TestLateLoopHearsRenewalsBeforeItJudges(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0))
		f.renew(7)
		synctest.Wait()
		f.sleep(time.Hour) // this process was paused; the agent renewed meanwhile
		f.renew(7)
		synctest.Wait()
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{"0ms work 7", "3600000ms cancelled 7: context canceled", "3600000ms drained, step down 7"}, heard)
}

func TestPlannedEndRenewsUntilWorkHasReturnedAndThenDrains(t *testing.T) {
	for stop, cause := range map[string]error{api.StopSteppedDown: ErrSteppedDown, api.StopStopped: ErrStopped} {
		heard := story(t, func(t *testing.T, f *fake) {
			ctx, cancel := context.WithCancel(t.Context())
			wait := run(ctx, f, func(ctx context.Context, l Lease) error {
				f.note("work")
				<-ctx.Done()
				f.note("%v", context.Cause(ctx))
				time.Sleep(3 * time.Second)
				require.Greater(t, l.Until(), 800*time.Millisecond, "renewed meanwhile")
				return nil
			})
			f.renew(7)
			synctest.Wait()
			f.stop(7, stop)
			f.renewFor(7, 3*time.Second)
			time.Sleep(time.Millisecond)
			cancel()
			require.ErrorIs(t, wait(), context.Canceled)
		})
		require.Equal(t, []string{"0ms work", "0ms " + cause.Error(), "3000ms drained 7"}, heard[:3])
	}
}

func TestLateWorkIsReportedThenDrained(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(4*time.Second))
		f.renew(7)
		time.Sleep(10 * time.Second)
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{
		"0ms work 7",
		"600ms cancelled 7: the goose's lease was lost",
		"1000ms late 7",
		"4600ms drained 7",
	}, heard)
}

func TestWorkLateAfterThePlannedGraceIsReported(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(4*time.Second))
		f.renew(7)
		synctest.Wait()
		f.stop(7, api.StopSteppedDown)
		f.renewFor(7, 2*time.Second) // and no longer: the agent's grace has passed
		time.Sleep(10 * time.Second)
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{
		"0ms work 7",
		"0ms cancelled 7: the goose steps down",
		"2900ms late 7",
		"4000ms drained 7",
	}, heard)
}

func TestWorkThatReturnsByItselfStepsDownAndEndsLead(t *testing.T) {
	for _, want := range []error{nil, errors.New("broken")} {
		heard := story(t, func(t *testing.T, f *fake) {
			wait := run(t.Context(), f, func(context.Context, Lease) error {
				time.Sleep(300 * time.Millisecond)
				return want
			})
			f.renew(7)
			require.Equal(t, want, wait())
		})
		require.Equal(t, []string{"300ms drained, step down 7"}, heard)
	}
}

func TestWorkThatReturnsAfterACancelWaitsForTheNextPeriod(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(100*time.Millisecond))
		token := uint64(7)
		for _, stop := range []string{api.StopLost, api.StopSteppedDown, api.StopStopped} {
			f.renew(token)
			synctest.Wait()
			f.stop(token, stop)
			time.Sleep(time.Second)
			token++
		}
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{
		"0ms work 7", "0ms cancelled 7: the goose's lease was lost", "100ms drained 7",
		"1000ms work 8", "1000ms cancelled 8: the goose steps down", "1100ms drained 8",
		"2000ms work 9", "2000ms cancelled 9: the agent is stopping", "2100ms drained 9",
	}, heard)
}

func TestCallersContextEndsWorkIsAwaitedAndTheAgentStepsDown(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		wait := run(ctx, f, f.untilCancelled(3*time.Second))
		f.renewFor(7, 6*time.Second) // the agent cannot know: it renews until it hears
		require.ErrorIs(t, wait(), context.DeadlineExceeded)
	})
	require.Equal(t, []string{
		"0ms work 7",
		"2000ms cancelled 7: context deadline exceeded",
		"5000ms drained, step down 7",
	}, heard)
}

func TestCallersContextEndsWhileNothingRuns(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0))
		// Too little is left to begin, but the agent has handed it out.
		f.send(api.LeadEvent{Token: 7, Until: int64(f.clock() + length/3), Lease: int64(length)})
		synctest.Wait()
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{"0ms drained 7"}, heard)
}

func TestPanicInWorkStepsDownAndGoesOn(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		f.renew(7)
		require.PanicsWithValue(t, "work is broken", func() {
			_ = Run(t.Context(), f, f.clock, func(context.Context, Lease) error { panic("work is broken") })
		})
		require.Equal(t, []string{"0ms drained, step down 7"}, f.heard, "before the panic goes on")
	})
	require.Len(t, heard, 1)
}

func TestGoexitInWorkStepsDown(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		f.renew(7)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = Run(t.Context(), f, f.clock, func(context.Context, Lease) error { runtime.Goexit(); return nil })
		}()
		<-ended
	})
	require.Equal(t, []string{"0ms drained, step down 7"}, heard)
}

func TestUntilIsTheTimeLeftAndStaysOver(t *testing.T) {
	story(t, func(t *testing.T, f *fake) {
		var kept Lease
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, func(ctx context.Context, l Lease) error {
			if kept != nil {
				<-ctx.Done()
				return nil
			}
			kept = l
			require.EqualValues(t, 7, l.Token())
			require.Equal(t, length, l.Until())
			time.Sleep(length / 2)
			require.Equal(t, length/2, l.Until())
			time.Sleep(length / 2)
			require.LessOrEqual(t, l.Until(), time.Duration(0))
			f.renew(7) // regained within the period
			synctest.Wait()
			require.LessOrEqual(t, l.Until(), time.Duration(0), "what was over stays over")
			return nil
		})
		f.renew(7)
		time.Sleep(2 * length)
		f.renew(7)
		synctest.Wait()
		require.LessOrEqual(t, kept.Until(), time.Duration(0), "a lease kept after work has returned")
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
}

func TestLapseRegainedInThePeriodCallsWorkAgainWithItsToken(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(2010*time.Millisecond))
		f.renew(7)
		time.Sleep(1100 * time.Millisecond)
		f.renewFor(7, 2*time.Second) // regained, while the work of before goes on
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{
		"0ms work 7",
		"600ms cancelled 7: the goose's lease was lost",
		"1000ms late 7",
		"2610ms drained 7",
		"2700ms work 7",
		"3100ms cancelled 7: context canceled",
		"5110ms drained, step down 7",
	}, withoutSecondLate(heard))
}

// withoutSecondLate leaves out that the work of the second call was late as
// well, which the end of renewals brings about.
func withoutSecondLate(heard []string) (kept []string) {
	for _, h := range heard {
		if h != "4000ms late 7" {
			kept = append(kept, h)
		}
	}
	return kept
}

func TestStopBeforeWorkHasBegunDrainsAtOnce(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0))
		f.send(api.LeadEvent{Token: 7, Until: int64(f.clock() + length/3), Lease: int64(length)})
		f.stop(7, api.StopSteppedDown)
		synctest.Wait()
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{"0ms drained 7"}, heard)
}

func TestStopOfAnotherPeriodLeavesWorkAlone(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0))
		f.renew(7)
		synctest.Wait()
		f.stop(6, api.StopLost)
		synctest.Wait()
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{"0ms work 7", "0ms cancelled 7: context canceled", "0ms drained, step down 7"}, heard)
}

func TestSessionDoneEndsLeadOnceWorkHasEnded(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		wait := run(t.Context(), f, f.untilCancelled(0))
		f.renew(7)
		synctest.Wait()
		close(f.done)
		require.Equal(t, ErrStopped, wait())
	})
	require.Equal(t, []string{"0ms work 7", "600ms cancelled 7: the goose's lease was lost", "600ms drained 7"}, heard)
}
