package agent

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// watchAll records every status that a watcher gets.
func watchAll(ctx context.Context, a *Agent) (statuses func() []Status) {
	seen := make(chan Status, 1024)
	go func() {
		for s := range a.Watch(ctx) {
			seen <- s
		}
	}()
	var all []Status
	return func() []Status {
		synctest.Wait()
		for len(seen) > 0 {
			all = append(all, <-seen)
		}
		return all
	}
}

func TestWatchTellsChangesAndNoRenewals(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(10 * time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		goose, duck := watchAll(ctx, f.agents[f.goose()].Agent), watchAll(ctx, f.agents[f.ducks()[0]].Agent)
		f.sleep(time.Minute)
		require.Len(t, goose(), 1, "the full status first, and nothing changes")
		require.Len(t, duck(), 1)
		require.Equal(t, api.RoleGoose, goose()[0].Role)

		old := f.goose()
		require.NoError(t, f.await(func() error { return f.agents[old].StepDown(context.Background(), "") }))
		f.settle(3)
		f.sleep(time.Second)
		last := goose()[len(goose())-1]
		require.Equal(t, api.RoleDuck, last.Role)
		require.Equal(t, f.goose(), last.Goose.Name)
		for _, all := range [][]Status{goose(), duck()} {
			for i := 1; i < len(all); i++ {
				require.Greater(t, all[i].Seq, all[i-1].Seq)
				require.False(t, same(all[i-1], all[i]), "%+v", all[i])
			}
		}
	})
}

// same reports whether a watcher should hear nothing of b after a.
func same(a, b Status) bool {
	for _, s := range []*Status{&a, &b} {
		s.Seq, s.Uptime, s.Counters = 0, 0, nil
		s.Lease.RemainingMS, s.Lease.UntilBoottimeNS = 0, 0
		if s.Goose != nil {
			g := *s.Goose
			g.HeardMS = 0
			s.Goose = &g
		}
	}
	return reflect.DeepEqual(a, b)
}

func TestWatchTellsALapseThoughTheLoopHangs(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(10 * time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		a := f.agents[f.goose()]
		seen := watchAll(ctx, a.Agent)
		require.Len(t, seen(), 1)
		until := time.Duration(seen()[0].Lease.UntilBoottimeNS)
		release := make(chan struct{})
		require.NoError(t, a.do(ctx, func(*life) error {
			<-release
			return nil
		}))
		f.sleep(until - f.clock() + time.Second)
		require.Len(t, seen(), 2)
		require.Equal(t, api.RoleDuck, seen()[1].Role)
		require.False(t, seen()[1].Lease.Valid)
		close(release)
		f.settle(3)
		f.sleep(time.Second)
		all := seen()
		require.NotNil(t, all[len(all)-1].Goose)
		for i := 1; i < len(all); i++ {
			require.Greater(t, all[i].Seq, all[i-1].Seq)
			require.False(t, same(all[i-1], all[i]))
		}
	})
}

func TestWatchOfADuckTellsThatNoGooseIsHeard(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(10 * time.Second)
		duck := f.ducks()[0]
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		seen := watchAll(ctx, f.agents[duck].Agent)
		require.Len(t, seen(), 1)
		require.NoError(t, f.agents[duck].faults.Set("*: cut", 0))
		f.sleep(2 * time.Second)
		require.Nil(t, f.agents[duck].Status().Goose)
		nobody := false
		for _, s := range seen() {
			nobody = nobody || s.Goose == nil && s.Token == 0
		}
		require.True(t, nobody)
	})
}

func TestWatchEndsWithTheAgent(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range f.agents["a"].Watch(context.Background()) {
			}
		}()
		f.sleep(time.Second)
		f.stop("a")
		<-ended
	})
}
