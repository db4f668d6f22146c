package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

func TestStrangersNeverSilenceWhatIsSaidOfMembers(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(1)
		a := f.agents[f.goose()]
		require.NoError(t, f.await(func() error {
			return a.onLoop(t.Context(), func(l *life) error {
				for i := range 1300 {
					l.foreignLabel(fmt.Sprintf("10.7.%d.%d:1", i/250, i%250), "other")
					l.otherKeys(fmt.Sprintf("10.8.%d.%d", i/250, i%250), fmt.Sprintf("agent at 10.8.%d.%d seals with other keys", i/250, i%250))
					if i%10 == 0 {
						l.refreshWarnings(l.now())
					}
				}
				host{l}.Tell(member.Event{Kind: member.EventClone, Peer: election.ID{7}, Addr: a.addr, Other: a.addr})
				return nil
			})
		}))
		says := func(w string) bool { return strings.Contains(w, "runs twice") }
		f.until(5*time.Second, "the copied disk is told", func() bool { return slices.ContainsFunc(a.Status().Warnings, says) })
		require.LessOrEqual(t, len(a.Status().Warnings), 2*problemsKept)
		require.True(t, a.quiet.Due("another key"), "the log has room for it, too")
	})
}
