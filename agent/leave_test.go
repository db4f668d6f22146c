package agent

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store/memfs"
)

// leaves makes an agent leave and waits for its end.
func (f *testFlock) leaves(name string, force bool) {
	f.t.Helper()
	require.NoError(f.t, f.await(func() error { return f.agents[name].Leave(context.Background(), force) }), "%s leaves\n%s", name, f)
	require.NoError(f.t, f.wait(name))
}

func TestFlockGrowsToSevenAndShrinksBackByLeave(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		for i, voters := range []int{1, 3, 3, 5, 5, 5} {
			f.start(nth(i+1), joining("10.0.0.1"))
			f.until(time.Minute, "grown", func() bool { return f.agents["a"].Status().Alive == i+2 })
			f.settle(voters)
		}
		for i, voters := range []int{5, 5, 3, 3, 1} {
			f.leaves(nth(6-i), false)
			f.settle(voters)
			require.NotEmpty(t, f.goose())
		}
	})
}

func TestTheGooseLeaves(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		old := f.goose()
		id := f.agents[old].Status().ID
		f.leaves(old, false)
		f.settle(1)
		f.until(10*time.Second, "it is listed as left", func() bool {
			for _, m := range f.agents[f.goose()].Members() {
				if m.ID == id {
					return m.State == api.StateLeft
				}
			}
			return false
		})
	})
}

func TestTheSoleVoterLeavesToASuccessor(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.start("b", joining("10.0.0.1"))
		f.settle(1)
		f.allAlive()
		token := f.agents["a"].Status().Token
		f.leaves("a", false)
		f.until(5*time.Second, "b is the goose", func() bool { return f.goose() == "b" })
		f.settle(1)
		require.Greater(t, f.agents["b"].Status().Token, token)
	})
}

func TestLeaveRefusesWhatWouldEndTheFlock(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		require.ErrorContains(t, f.agents["a"].Leave(context.Background(), false), "last live agent")
		f.start("b", joining("10.0.0.1"), asObserver)
		f.settle(1)
		f.allAlive()
		require.ErrorContains(t, f.agents["a"].Leave(context.Background(), false), "no other agent can be the goose")
		f.leaves("b", false)
	})
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		dead := f.ducks()[0]
		f.crash(dead)
		f.until(time.Minute, "the dead is noticed", func() bool {
			return f.gossiped(f.goose()) == 2 && f.gossiped(f.ducks()[0]) == 2
		})
		for _, name := range f.live() {
			err := f.agents[name].Leave(context.Background(), false)
			require.ErrorIs(t, err, api.ErrNoMajority)
			require.ErrorContains(t, err, "leaving would cost the flock its majority")
		}
		f.leaves(f.ducks()[0], true)
		f.until(5*time.Second, "no majority", func() bool { return f.goose() == "" })
	})
}

func TestOneThatLeftComesBackAsAnObserverWithItsID(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		id := f.agents["e"].Status().ID
		f.leaves("e", false)
		f.settle(3)
		_, err := New(f.config(f.agents["e"]))
		require.ErrorContains(t, err, "has left its flock: start it with --join")
		f.start("e", joining("10.0.0.1"))
		f.until(5*time.Second, "it knows the goose", func() bool { return f.agreed("e") })
		require.False(t, f.voter("e"))
		require.Equal(t, id, f.agents["e"].Status().ID)
		f.settle(5) // it is wanted again
	})
}

func TestForceLeaveTakesOutOnlyTheDead(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		goose, duck, dead := f.goose(), f.ducks()[0], f.ducks()[1]
		ctx := context.Background()
		require.ErrorContains(t, f.agents[duck].ForceLeave(ctx, dead), duck+" is not the goose; run this on "+goose)
		require.ErrorContains(t, f.agents[goose].ForceLeave(ctx, dead), "is alive")
		require.ErrorContains(t, f.agents[goose].ForceLeave(ctx, goose), "is this agent, the goose")
		require.EqualError(t, f.agents[goose].ForceLeave(ctx, "nobody"), `no agent is named "nobody"`)
		err := f.agents[duck].ForceLeave(ctx, "nobody")
		require.ErrorContains(t, err, duck+" is not the goose; run this on "+goose)
		require.ErrorContains(t, err, `; no agent known here is named "nobody"`)
		require.Equal(t, string(member.NotGoose), api.CodeOf(err))
		f.crash(dead)
		f.until(time.Minute, "the dead is noticed", func() bool { return f.gossiped(goose) == 4 })
		require.NoError(t, f.await(func() error { return f.agents[goose].ForceLeave(ctx, dead) }))
		f.settle(3)
		for _, m := range f.agents[goose].Members() {
			if m.Name == dead {
				require.Equal(t, api.StateLeft, m.State)
			}
		}
	})
}

func TestStoppingChangesNoVoters(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		version := f.record(f.goose()).Config.Version
		for _, name := range f.ducks() {
			f.stop(name)
			f.sleep(long(2 * time.Minute))
			f.start(name)
			f.settle(3)
		}
		require.Equal(t, version, f.record(f.goose()).Config.Version)
	})
}

func TestADeadVoterIsReplacedByAnObserver(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.start("d", joining("10.0.0.1"))
		f.allAlive()
		f.sleep(15 * time.Second)
		require.False(t, f.voter("d"))
		dead := f.ducks()[0]
		f.crash(dead)
		at := time.Now()
		f.until(2*time.Minute, "d takes its place", func() bool { return f.voter("d") })
		require.Greater(t, time.Since(at), 30*time.Second)
		f.settle(3)
		f.start(dead) // with its old disk, whose config includes it
		f.sleep(30 * time.Second)
		f.settle(3)
		require.False(t, f.voter(dead))
	})
}

func TestPrioritiesFollowARestartAndAReload(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		duck := f.ducks()[0]
		f.stop(duck)
		f.start(duck, withPriority(7))
		priority := func() uint8 { return f.agents[duck].Status().Priority }
		f.until(time.Minute, "the config has it", func() bool { return priority() == 7 && f.agreed(duck) })

		cfg := f.config(f.agents[duck])
		cfg.Tags, cfg.Bind = map[string]string{"rack": "7"}, "10.0.0.99:3825"
		restart, err := f.agents[duck].Reload(context.Background(), cfg)
		require.NoError(t, err)
		require.Equal(t, []string{"bind"}, restart)
		f.until(time.Minute, "the config has it", func() bool { return priority() == election.DefaultPriority })
		f.until(time.Minute, "the goose lists its tag", func() bool {
			for _, m := range f.agents[f.goose()].Members() {
				if m.Name == duck {
					return m.Tags["rack"] == "7"
				}
			}
			return false
		})
		cfg.Voters = 4
		_, err = f.agents[duck].Reload(context.Background(), cfg)
		require.ErrorContains(t, err, "voters 4: want 1, 3, 5 or 7")
	})
}

func TestAGooseMadeAWitnessHandsOver(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		old := f.goose()
		cfg := f.config(f.agents[old])
		withPriority(0)(&cfg)
		_, err := f.agents[old].Reload(context.Background(), cfg)
		require.NoError(t, err)
		f.until(10*time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != old })
		f.until(10*time.Second, "a witness", func() bool { return f.agents[old].Status().Priority == 0 })
		f.crash(f.goose())
		f.until(5*time.Second, "the third is the goose", func() bool { return f.goose() != "" })
		require.NotEqual(t, old, f.goose())
	})
}

func TestAWitnessNeverLeads(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		for i := range 3 {
			f.start(nth(i), joining("10.0.0.1"), expecting(3), withPriority(uint8(100*min(i, 1))))
		}
		f.settle(3)
		f.sleep(2 * time.Second)
		for range 4 {
			require.NotEqual(t, "a", f.goose())
			old := f.goose()
			require.NoError(t, f.await(func() error { return f.agents[old].StepDown(context.Background(), "") }))
			f.settle(3)
			f.sleep(time.Second)
			require.ErrorContains(t, f.agents[f.goose()].StepDown(context.Background(), "a"), "cannot take over")
		}
	})
}

func TestVotersFollowTheGoosesFlag(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		seven := func(c *Config) { c.Voters = 7 }
		f.start("a", seven)
		for i := 1; i < 7; i++ {
			f.start(nth(i), joining("10.0.0.1"), seven)
		}
		f.settle(7)
	})
}

// TestForceLeaveOfANameTakesTheOneThatLostItsDisk: the live agent of that name has
// another id, and gossip knows one agent per address.
func TestForceLeaveOfANameTakesTheOneThatLostItsDisk(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		f.settle(5)
		goose, name := f.goose(), f.ducks()[0]
		old := f.agents[name].Status().ID
		f.crash(name)
		f.agents[name].disk = memfs.New(99)
		f.start(name, joining(f.agents[goose].addr.String()))
		f.until(20*time.Second, "it is back", func() bool { return f.agreed(name) })
		id := f.agents[name].Status().ID
		require.NotEqual(t, old, id)
		require.NoError(t, f.await(func() error { return f.agents[goose].ForceLeave(context.Background(), name) }))
		voters := f.agents[goose].Status().Config.Voters
		require.False(t, slices.ContainsFunc(voters, func(v api.Voter) bool { return v.ID == old }), "%v", voters)
		f.until(time.Minute, "the new one takes its place", func() bool { return f.voter(name) })
		require.Equal(t, goose, f.goose())
	})
}
