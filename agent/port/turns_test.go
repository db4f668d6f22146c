package port

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRequestsAreServedAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		ends := make(chan func(), 10)
		for range 10 {
			go func() {
				done, ok := turns.wait(t.Context())
				require.True(t, ok)
				ends <- done
			}()
		}
		for range 10 / servedAtOnce {
			synctest.Wait()
			require.Len(t, ends, servedAtOnce)
			for range servedAtOnce {
				(<-ends)()
			}
		}
	})
}

func TestASlowRequestKeepsOthersWaitingForAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		for range servedAtOnce {
			_, ok := turns.wait(t.Context())
			require.True(t, ok)
		}
		began := time.Now()
		for range 5 {
			done, ok := turns.wait(t.Context())
			require.True(t, ok)
			done()
		}
		require.Equal(t, 5*turnMost, time.Since(began))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, ok := turns.wait(ctx)
		require.False(t, ok)
	})
}

func TestManyRequestsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		serve := func(n int) time.Duration {
			began := time.Now()
			for range n {
				done, ok := turns.wait(t.Context())
				require.True(t, ok)
				done()
			}
			return time.Since(began)
		}
		require.Zero(t, serve(turnsAtOnce), "a few need not wait")
		require.Equal(t, 100*turnEvery, serve(100))
		time.Sleep(time.Second)
		require.Zero(t, serve(turnsAtOnce))
	})
}
