package lead

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// waits tells that this agent is not the goose.
func (f *fake) waits(w api.Waiting) { f.send(api.LeadEvent{Waiting: &w}) }

func TestTryGivesUpWhenTheTimeIsOver(t *testing.T) {
	b := api.Waiting{Goose: "b"}
	for _, tc := range []struct {
		try, after time.Duration
		tell       func(f *fake)
		says       string
	}{
		{0, 0, func(f *fake) { f.waits(b) }, "b is the goose, not this agent"},
		{0, 0, func(f *fake) { f.waits(api.Waiting{}) }, "there is no goose"},
		{0, 0, func(f *fake) { f.waits(api.Waiting{Here: "another ddgoose run works beside this agent", PID: 12}) }, "another ddgoose run works beside this agent (process 12)"},
		{0, SilentTry, func(*fake) {}, "the agent does not say who is the goose"},
		{3 * time.Second, 3 * time.Second, func(f *fake) { f.waits(api.Waiting{}); f.waits(b) }, "b is the goose, not this agent"},
		{time.Minute, time.Minute, func(*fake) {}, "the agent does not say who is the goose"},
	} {
		heard := story(t, func(t *testing.T, f *fake) {
			tc.tell(f)
			err := Run(t.Context(), f, f.clock, f.untilCancelled(0), Try(tc.try))
			require.ErrorIs(t, err, ErrNotGoose)
			require.EqualError(t, err, tc.says)
			require.Equal(t, tc.after, f.since())
		})
		require.Empty(t, heard)
	}
}

func TestTryLetsWorkRunForAsLongAsItTakes(t *testing.T) {
	for _, tell := range []func(*fake){
		func(f *fake) { f.renew(7) },
		func(f *fake) { time.AfterFunc(900*time.Millisecond, func() { f.renew(7) }) }, // the agent is slow to speak
	} {
		heard := story(t, func(t *testing.T, f *fake) {
			tell(f)
			wait := run(t.Context(), f, func(context.Context, Lease) error {
				f.renewFor(7, 5*time.Second)
				return nil
			}, Try(0))
			require.NoError(t, wait())
		})
		require.Len(t, heard, 1)
		require.Contains(t, heard[0], "drained, step down 7")
	}
}

func TestTryBoundsTheWaitAfterALostPeriodToo(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		wait := run(t.Context(), f, f.untilCancelled(0), Try(2*time.Second))
		f.renewFor(7, 5*time.Second)
		f.stop(7, api.StopSteppedDown)
		f.waits(api.Waiting{Goose: "b"})
		require.ErrorIs(t, wait(), ErrNotGoose)
		f.note("gave up")
	})
	require.Equal(t, []string{"0ms work 7", "5000ms cancelled 7: the goose steps down", "5000ms drained 7", "7000ms gave up"}, heard)
}

func TestTryOfZeroBeginsWorkOnce(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		wait := run(t.Context(), f, f.untilCancelled(time.Second), Try(0))
		f.renew(7)
		synctest.Wait()
		f.renewFor(9, 2*time.Second) // a new period, and this agent leads again
		require.EqualError(t, wait(), "work was stopped before its end, and is not started again")
	})
	require.Equal(t, "0ms work 7", heard[0])
	require.Equal(t, []string{"1000ms drained 7", "1000ms drained 9"}, heard[len(heard)-2:])
	require.NotContains(t, strings.Join(heard, "\n"), "work 9")
}

func TestTryDrainsWhatWasTooShortToBegin(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		f.send(api.LeadEvent{Token: 7, Until: int64(f.clock() + length/3), Lease: int64(length)})
		require.ErrorIs(t, Run(t.Context(), f, f.clock, f.untilCancelled(0), Try(0)), ErrNotGoose)
	})
	require.Equal(t, []string{"10000ms drained 7"}, heard)
}

func TestKeepLeavesTheGooseWhereItIs(t *testing.T) {
	for _, want := range []error{nil, errors.New("broken")} {
		heard := story(t, func(t *testing.T, f *fake) {
			wait := run(t.Context(), f, func(context.Context, Lease) error { return want }, Keep())
			f.renew(7)
			require.Equal(t, want, wait())
		})
		require.Equal(t, []string{"0ms drained, leave 7"}, heard)
	}
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0), Keep())
		f.renew(7)
		synctest.Wait()
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{"0ms work 7", "0ms cancelled 7: context canceled", "0ms drained, leave 7"}, heard)
}

func TestOnWaitTellsEachChangeOnce(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := run(ctx, f, f.untilCancelled(0), OnWait(func(w api.Waiting) { f.note("waiting: %v", w) }))
		for _, w := range []api.Waiting{{Goose: "b"}, {Goose: "b"}, {}, {Here: "this agent hands over"}} {
			f.waits(w)
			synctest.Wait()
		}
		f.renew(7)
		synctest.Wait()
		f.waits(api.Waiting{Goose: "b"}) // told once work has ended
		synctest.Wait()
		f.stop(7, api.StopSteppedDown)
		synctest.Wait()
		cancel()
		require.ErrorIs(t, wait(), context.Canceled)
	})
	require.Equal(t, []string{
		"0ms waiting: b is the goose", "0ms waiting: there is no goose", "0ms waiting: this agent hands over",
		"0ms work 7", "0ms cancelled 7: the goose steps down", "0ms drained 7", "0ms waiting: b is the goose",
	}, heard)
}
