package agent

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// memberlist would read and write its own entry at the same time, and give the
// older metadata the higher number.
func TestTheNewestOfManyChangesOfMetadataIsTheOneThatStays(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		for i := range 20 {
			require.NoError(t, f.agents["a"].do(context.Background(), func(l *life) error {
				for k := range 5 {
					l.Agent.cfg.Tags = map[string]string{"n": fmt.Sprint(i, " ", k)}
					l.member.Reload(l.settings())
				}
				return nil
			}))
		}
		const last = "19 4"
		f.until(10*time.Second, "b has the last", func() bool { return tagOf(f.agents["b"].Members(), "a") == last })
		f.sleep(time.Minute)
		require.Equal(t, last, tagOf(f.agents["b"].Members(), "a"), "and keeps it, whatever push and pull bring")
	})
}

func tagOf(members []api.Member, name string) string {
	for _, m := range members {
		if m.Name == name {
			return m.Tags["n"]
		}
	}
	return ""
}
