package agent

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/lead"
)

// job does a job at an agent if it is the goose now, and does not move the goose.
func (f *testFlock) job(name string, work func()) error {
	f.t.Helper()
	return f.await(func() error {
		return f.agents[name].Lead(context.Background(), func(context.Context, Lease) error {
			work()
			return nil
		}, lead.Try(0), lead.Keep())
	})
}

func TestTryAndKeepMakeAJobOfLead(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose := f.goose()
		token, done := f.agents[goose].Status().Token, 0
		for range 3 {
			for _, name := range f.order {
				began := f.clock()
				err := f.job(name, func() { done++ })
				require.Less(t, f.clock()-began, 10*time.Millisecond, "nobody waits")
				if name == goose {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, ErrNotGoose)
				require.EqualError(t, err, goose+" is the goose, not this agent")
			}
		}
		require.Equal(t, 3, done)
		require.Equal(t, token, f.agents[goose].Status().Token, "it is the goose still")
		require.Zero(t, f.agents[goose].byDefault().at.Holders().Attached)
	})
}

// TestHolderThatLeavesIsHandedNothingMore: its connection ends a moment later.
func TestHolderThatLeavesIsHandedNothingMore(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(1)
		a := f.agents[f.goose()]
		e := a.byDefault()
		h := e.newHolder("test")
		require.NoError(t, f.await(func() error { return e.hold(context.Background(), h) }))
		require.Equal(t, 1, e.at.Holders().Working)
		h.Drained(a.Status().Token, api.ThenLeave)
		f.sleep(time.Second)
		require.Zero(t, e.at.Holders().Working)
		require.NotEmpty(t, f.goose())
	})
}

func TestHolderHearsWhatItWaitsFor(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose := f.goose()
		name := f.order[0]
		if name == goose {
			name = f.order[1]
		}
		var mu sync.Mutex // guards waited
		var waited []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			waited = append(waited, what)
		}
		told := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(waited)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- f.agents[name].Lead(ctx, func(ctx context.Context, _ Lease) error {
				note("work")
				<-ctx.Done()
				return nil
			}, lead.OnWait(func(w api.Waiting) { note(w.String()) }))
		}()
		f.sleep(time.Second)
		require.NoError(t, f.agents[goose].faults.Set("*: cut", 0))
		f.until(5*time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != goose })
		next := f.goose()
		f.sleep(time.Second)
		want := []string{goose + " is the goose", "there is no goose", next + " is the goose"}
		if next == name {
			want[2] = "work"
		}
		require.Equal(t, want, told())

		require.NoError(t, f.await(func() error { return f.agents[name].Die(0) }))
		f.sleep(time.Second)
		require.Equal(t, append(want, "this agent is dead (simulated)"), told())
		cancel()
		require.ErrorIs(t, f.await(func() error { return <-done }), context.Canceled)
	})
}
