package agent

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/lead"
)

// leadWith runs work with a grace of its own in the background, as a process at the
// socket does.
func (f *testFlock) leadWith(name string, grace, linger time.Duration) *worker {
	f.t.Helper()
	w := &worker{f: f, name: name, linger: linger, end: make(chan error), started: make(chan struct{}, 64)}
	a := f.agents[name].Agent
	h, err := newBackend(a).Lead(context.Background(), api.LeadPeer{PID: 1, Grace: grace})
	require.NoError(f.t, err)
	go func() {
		defer h.Close()
		_ = lead.Run(context.Background(), h, f.clock, w.work)
	}()
	f.until(time.Second, "work", w.running.Load)
	return w
}

func TestTheLongestGraceOfThoseThatWorkCounts(t *testing.T) {
	type work struct{ grace, linger time.Duration }
	for _, c := range []struct {
		name  string
		works []work
		takes time.Duration // until another is the goose; the agent's own grace is 5 s
	}{
		{"nobody works", nil, 0},
		{"work that does not say, and ends in time", []work{{0, 4 * time.Second}}, 4 * time.Second},
		{"work that does not say, and does not end", []work{{0, time.Minute}}, 5500 * time.Millisecond},
		{"longer than the agent's own", []work{{20 * time.Second, 15 * time.Second}}, 15 * time.Second},
		{"shorter than the agent's own", []work{{time.Second, time.Minute}}, 1500 * time.Millisecond},
		{"the longest of several", []work{{time.Second, 12 * time.Second}, {0, 2 * time.Second}, {20 * time.Second, 3 * time.Second}}, 12 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFlock(t, func(t *testing.T, f *testFlock) {
				f.found(3)
				a := f.goose()
				for _, w := range c.works {
					f.leadWith(a, w.grace, w.linger)
				}
				at := time.Now()
				stepped := make(chan error, 1)
				go func() { stepped <- f.agents[a].StepDown(context.Background(), "") }()
				f.until(c.takes+time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != a })
				require.InDelta(t, c.takes.Seconds(), time.Since(at).Seconds(), 0.3)
				require.NoError(t, <-stepped)
			})
		})
	}
}

func TestNoGraceIsLongerThanAnHour(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		h, err := newBackend(f.agents["a"].Agent).Lead(context.Background(), api.LeadPeer{PID: 1, Grace: 48 * time.Hour})
		require.NoError(t, err)
		defer h.Close()
		require.Equal(t, time.Hour, f.agents["a"].main.holders.state(time.Second).Grace)
	})
}

func TestAStopGrantsTheGraceThatWorkHasSaid(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		a := f.goose()
		w := f.leadWith(a, 20*time.Second, 15*time.Second)
		at := time.Now()
		f.agents[a].cancel()
		f.sleep(14 * time.Second)
		require.Equal(t, a, f.goose(), "its lease is renewed while work ends")
		require.True(t, w.running.Load())
		require.NoError(t, f.wait(a))
		require.InDelta(t, 15, time.Since(at).Seconds(), 0.3)
		require.ErrorIs(t, w.ended(t), ErrStopped)
		f.settle(3)
	})
}
