package agent

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// Rule 17: when the boot clock has run ahead of the monotonic one, the machine
// slept, and the lease is dropped although it would still run.
func TestRule17AGooseThatSleptDropsItsLease(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		var slept atomic.Int64
		f.start("a", joining("10.0.0.1"), expecting(3), withPriority(200), func(c *Config) {
			boot := c.Clock
			c.Clock = func() time.Duration { return boot() + time.Duration(slept.Load()) }
		})
		f.start("b", joining("10.0.0.1"), expecting(3))
		f.start("c", joining("10.0.0.1"), expecting(3))
		f.settle(3)
		f.allAlive()
		f.sleep(10 * time.Second)
		require.Equal(t, "a", f.goose())
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		seen := watchAll(ctx, f.agents["a"].Agent)
		f.sleep(time.Second)
		require.Len(t, seen(), 1)
		token := seen()[0].Token
		slept.Store(int64(100 * time.Millisecond)) // a fifth of the lease
		f.sleep(time.Second)
		all := seen()
		require.True(t, slices.ContainsFunc(all, func(s Status) bool { return s.Role == api.RoleDuck }), "the lease was dropped")
		require.Equal(t, api.RoleGoose, all[len(all)-1].Role)
		require.Equal(t, token, all[len(all)-1].Token, "and earned anew in the same period")
	})
}
