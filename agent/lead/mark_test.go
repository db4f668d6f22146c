package lead

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestAMarkIsRaisedInTheLeasesOwnPeriod(t *testing.T) {
	heard := story(t, func(t *testing.T, f *fake) {
		var before, after uint64
		wait := run(t.Context(), f, func(ctx context.Context, l Lease) error {
			before = l.Mark()
			require.NoError(t, l.Advance(ctx, 9))
			require.ErrorIs(t, l.Advance(ctx, 9), ErrTaken)
			after = l.Mark()
			return nil
		})
		f.send(api.LeadEvent{Token: 7, Until: int64(f.clock() + length), Lease: int64(length), Mark: 5})
		require.NoError(t, wait())
		require.EqualValues(t, 5, before)
		require.EqualValues(t, 9, after)
	})
	require.Equal(t, []string{"0ms advance 7 to 9", "0ms drained, step down 7"}, heard)
}

func TestARenewalTellsTheMark(t *testing.T) {
	story(t, func(t *testing.T, f *fake) {
		var lease Lease
		wait := run(t.Context(), f, func(ctx context.Context, l Lease) error {
			lease = l
			time.Sleep(length / 2)
			return nil
		})
		for _, mark := range []uint64{3, 8, 0} { // 0: it waits for its majority
			f.send(api.LeadEvent{Token: 7, Until: int64(f.clock() + length), Lease: int64(length), Mark: mark})
			time.Sleep(length / 10)
		}
		require.NoError(t, wait())
		require.EqualValues(t, 8, lease.Mark())
	})
}
