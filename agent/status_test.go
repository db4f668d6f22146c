package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestWorkThatTheGooseCannotGoToIsToldEverywhere(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.start("o", joining("10.0.0.1"), asObserver) // it has work but can never lead
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		_, done := f.lead(ctx, "o", 0)
		for _, name := range []string{f.goose(), f.ducks()[0]} {
			f.warns(20*time.Second, name, "the goose "+f.goose()+" has no work, and o has work but does not take over")
		}
		goose := f.goose()
		_, also := f.lead(ctx, goose, 0)
		f.until(10*time.Second, "no more", func() bool {
			return !strings.Contains(strings.Join(f.agents[goose].Status().Warnings, "\n"), "has no work")
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
		require.NotContains(t, strings.Join(s.Warnings, "\n"), "no known agent matches")
		addr := f.agents["b"].addr.String()
		require.NoError(t, liveFaults{f.agents["a"].Agent, f.agents["a"].faults}.Set("out "+addr+",10.9.9.9:3825: cut", time.Minute))
		require.Contains(t, f.agents["a"].Status().Warnings, "fault rules are in force: out b,10.9.9.9:3825: cut (ddgoose netem clear)")
		require.Equal(t, "out "+addr+",10.9.9.9:3825: cut", f.agents["a"].Status().Netem, "programs read the rules as they are")
		require.Contains(t, reason(t, f.why("a"), api.WhyFaults).Text, ": out b,10.9.9.9:3825: cut")
		require.NoError(t, liveFaults{f.agents["a"].Agent, f.agents["a"].faults}.Set("out b,zeta: loss 1%", time.Minute))
		require.Contains(t, f.agents["a"].Status().Warnings, "no known agent matches zeta in the fault rules: check the names (ddgoose members)")
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
