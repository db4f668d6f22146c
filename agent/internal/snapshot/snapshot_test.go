package snapshot

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// inLapse returns the latest of a flock whose goose is known, and a watcher that has begun
// after the goose's time was up, and has seen none.
func inLapse(t *testing.T, now *time.Duration) (ss *Latest, known api.Status, next func() (api.Status, bool)) {
	ss = &Latest{Clock: func() time.Duration { return *now }, Counts: func() map[string]uint64 { return nil }}
	known = api.Status{ID: "b", Goose: &api.Goose{ID: "a"}}
	ss.Post(known, 0, time.Second)
	next, stop := iter.Pull(ss.Watch(context.Background(), nil))
	t.Cleanup(stop)
	s, _ := next()
	require.Nil(t, s.Goose)
	return ss, known, next
}

// A watcher that looks only after the goose's time is up has to be told when it
// is heard again, though for the loop nothing has changed.
func TestWatchThatBeginsInALapseIsToldOfTheGoose(t *testing.T) {
	now := 2 * time.Second
	ss, known, next := inLapse(t, &now)
	require.True(t, ss.Told.Load(), "so the loop publishes again with the next heartbeat")
	ss.HeardAt.Store(int64(now))
	ss.Post(known, 0, time.Second)
	s, _ := next()
	require.NotNil(t, s.Goose)
}

// The loop of a starved machine hears the goose, and posts that only when its time is up again.
func TestWatchIsToldOfAGooseThatWasPostedTooLate(t *testing.T) {
	now := 2 * time.Second
	ss, known, next := inLapse(t, &now)
	ss.HeardAt.Store(int64(now))
	now += 2 * time.Second
	ss.Post(known, 0, time.Second)
	require.True(t, ss.Told.Load(), "watchers still see no goose, so the loop publishes again with the next heartbeat")
	ss.HeardAt.Store(int64(now))
	ss.Post(known, 0, time.Second)
	s, _ := next()
	require.NotNil(t, s.Goose)
	known.Goose = nil
	ss.Post(known, 0, time.Second)
	require.False(t, ss.Told.Load())
}

// One watcher knows of a lapse, and another begins when the goose is heard again, just before
// the loop stands still. Or it posts, before the second one looks, what the first has known
// since the lapse.
func TestWatchIsToldOfASecondLapse(t *testing.T) {
	latest := api.Status{ID: "b", Goose: &api.Goose{ID: "a"}}
	for name, tt := range map[string]struct {
		posts *api.Status
		told  bool
	}{
		"the loop stands still":                        {nil, true},
		"the loop posts first, and knows of the lapse": {&api.Status{ID: "b"}, false},
		"the loop posts first, and does not":           {&latest, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ss := &Latest{Clock: func() time.Duration { return time.Hour + time.Since(began) }, Counts: func() map[string]uint64 { return nil }}
				ss.Post(latest, 0, time.Second)
				first, stop := iter.Pull(ss.Watch(context.Background(), nil))
				defer stop()
				s, _ := first()
				require.Nil(t, s.Goose)
				ss.HeardAt.Store(int64(ss.Clock()))
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				second, stop := iter.Pull(ss.Watch(ctx, nil))
				defer stop()
				s, _ = second()
				require.NotNil(t, s.Goose)
				seq := s.Seq
				if tt.posts != nil {
					time.Sleep(2 * time.Second)
					ss.Post(*tt.posts, 0, time.Second)
				}
				s, ok := second()
				require.True(t, ok)
				require.Nil(t, s.Goose)
				require.Greater(t, s.Seq, seq)
				require.Equal(t, tt.told, ss.Told.Load())
			})
		})
	}
}
