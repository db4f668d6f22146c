package snapshot

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// A watcher that looks only after the goose's time is up has to be told when it
// is heard again, though for the loop nothing has changed.
func TestWatchThatBeginsInALapseIsToldOfTheGoose(t *testing.T) {
	now := 2 * time.Second
	ss := &Latest{Clock: func() time.Duration { return now }, Counts: func() map[string]uint64 { return nil }}
	known := api.Status{ID: "b", Goose: &api.Goose{ID: "a"}}
	ss.Post(known, 0, time.Second)
	next, stop := iter.Pull(ss.Watch(context.Background(), nil))
	defer stop()
	s, _ := next()
	require.Nil(t, s.Goose)
	require.True(t, ss.Told.Load(), "so the loop publishes again with the next heartbeat")
	ss.HeardAt.Store(int64(now))
	ss.Post(known, 0, time.Second)
	s, _ = next()
	require.NotNil(t, s.Goose)
}
