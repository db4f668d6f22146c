package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheGooseIsToldOfWorkThatWaitsElsewhere(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		duck, goose := f.ducks()[0], f.goose()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		_, done := f.lead(ctx, duck, 0)
		f.warns(5*time.Second, goose, "the goose has no work attached while "+duck+" has: attach some here (ddgoose run), or ddgoose step-down --to "+duck)
		_, also := f.lead(ctx, goose, 0)
		f.until(5*time.Second, "no more", func() bool {
			return !strings.Contains(strings.Join(f.agents[goose].Status().Warnings, "\n"), "no work attached")
		})
		cancel()
		require.Error(t, <-done)
		require.Error(t, f.await(func() error { return <-also }))
	})
}

func TestAStartingAgentShowsWhatItsDiskKnows(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.sleep(5 * time.Second)
		duck := f.ducks()[0]
		before := f.agents[duck].Status()
		f.stop(duck)
		agent, err := New(f.config(f.agents[duck]))
		require.NoError(t, err)
		after := agent.Status()
		require.Equal(t, before.Config, after.Config)
		require.Equal(t, before.FlockID, after.FlockID)
		require.True(t, after.Voter)
		require.NoError(t, agent.Close())
	})
}

func TestFaultsAreCountedAndShown(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		require.NoError(t, liveFaults{f.agents["a"].Agent, f.agents["a"].faults}.Set("b: cut", time.Minute))
		require.Equal(t, "b: cut", f.agents["a"].Status().Netem)
		f.sleep(5 * time.Second)
		s := f.agents["a"].Status()
		require.Positive(t, s.Counters["netem_cut"])
		require.Contains(t, strings.Join(s.Warnings, "\n"), "fault rules are in force: b: cut (ddgoose netem clear)")
		f.until(2*time.Minute, "expired", func() bool { return f.agents["a"].Status().Netem == "" })
	})
}

func TestDamagedDatagramsNameNobody(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		for _, name := range f.live() {
			require.NoError(t, f.agents[name].faults.Set("out *: corrupt 10%", 0))
		}
		f.sleep(time.Minute)
		for _, name := range f.live() {
			for _, w := range f.agents[name].Status().Warnings {
				require.Contains(t, w, "fault rules are in force")
			}
			require.Positive(t, f.agents[name].Status().Counters["dropped_checksum"])
		}
	})
}
