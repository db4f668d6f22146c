package agent

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/recovery"
	"duckduckgoose/agent/store"
)

// onLoop runs f on an agent's loop.
func (f *testFlock) onLoop(name string, do func(*life)) {
	f.t.Helper()
	_, err := ask(context.Background(), f.agents[name].Agent, func(l *life, answer func(struct{}, error)) error {
		do(l)
		answer(struct{}{}, nil)
		return nil
	})
	require.NoError(f.t, err)
}

// foundContestedByC founds a flock of three, of which c alone contests the election x.
func (f *testFlock) foundContestedByC(settings ...func(*Config)) {
	f.t.Helper()
	for _, name := range []string{"a", "b"} {
		f.start(name, joining("10.0.0.1"), expecting(3))
	}
	f.start("c", append(settings, joining("10.0.0.1"), expecting(3), contesting("x"))...)
	f.settle(3)
}

// A recovery founds all elections again, and its table may look like the old one.
func TestOneThatMissedARecoveryTakesPartInItsElections(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x")
		f.sleep(2 * time.Second)
		table := f.record("a").Config.Table
		for _, name := range []string{"a", "b", "c"} {
			f.crash(name)
		}
		for _, name := range []string{"a", "b"} {
			_, err := f.recover(name, "a", "b")
			require.NoError(t, err)
		}
		for _, name := range []string{"a", "b"} {
			f.start(name, contesting("x"))
		}
		f.allLed("x")
		require.Equal(t, table, f.record("a").Config.Table, "only the generation tells them apart")
		f.start("c", contesting("x"))
		f.until(time.Minute, "c follows", func() bool { return f.agreedOn("x") && f.agreed(f.live()...) })
		require.EqualValues(t, 1, f.statusOf("c", "x").Generation)
		f.until(time.Minute, "it votes again", func() bool { return f.votersOf(f.gooseOf("x"), "x") == 3 })

		var st store.State
		f.onLoop("c", func(l *life) { st = l.disk.State() })
		require.EqualValues(t, 1, st.Elections[1].Record.Generation.Number)
	})
}

// Voters come and go while no agent contests an election. It must keep its majority.
func TestVotersOfAnElectionThatNobodyContestsFollowAllTheSame(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundContestedByC()
		f.allLed("x")
		f.stop("c")
		f.start("c", joining("10.0.0.1"))
		for _, name := range []string{"d", "e"} {
			f.start(name, joining("10.0.0.1", "10.0.0.3"))
		}
		f.settle(5)
		for _, name := range []string{"a", "b"} {
			f.sleep(5 * time.Second)
			require.NoError(t, f.await(func() error { return f.agents[name].Leave(context.Background(), false) }))
			require.NoError(t, f.wait(name))
		}
		f.sleep(20 * time.Second)
		require.Empty(t, f.gooseOf("x"), "nobody contests it")
		f.stop("d")
		f.start("d", joining("10.0.0.3"), contesting("x"))
		f.until(time.Minute, "it has a goose", func() bool { return f.gooseOf("x") == "d" })
	})
}

// A witness that contests an election cannot lead it, so another agent must still take
// care of it.
func TestAWitnessThatContestsStandsInNobodysWay(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundContestedByC(withPriority(0))
		f.until(time.Minute, "x is founded", func() bool { return f.votersOf("a", "x") == 3 })
		f.sleep(10 * time.Second)
		require.Empty(t, f.gooseOf("x"))
		for _, name := range []string{"d", "e"} {
			f.start(name, joining("10.0.0.1"), contesting("x"))
		}
		f.settle(5)
		f.until(time.Minute, "it has a goose", func() bool { g := f.gooseOf("x"); return g == "d" || g == "e" })
	})
}

func TestAWitnessThatIsOneNoMoreLeadsWhatItContests(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundContestedByC(withPriority(0))
		f.until(time.Minute, "x is founded", func() bool { return f.votersOf("a", "x") == 3 })
		f.stop("c")
		f.start("c", joining("10.0.0.1"), contesting("x"))
		f.until(time.Minute, "it leads", func() bool { return f.gooseOf("x") == "c" })
	})
}

// An agent whose stop takes long for one election's work takes up no other election
// meanwhile.
func TestAnAgentThatStopsTakesUpNoElection(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x", "y")
		lead := func(name, to string) {
			f.until(time.Minute, to+" leads "+name, func() bool {
				g := f.gooseOf(name)
				if g != "" && g != to {
					_ = f.await(func() error { return f.in(g, name).StepDown(context.Background(), to) })
				}
				return g == to
			})
		}
		f.sleep(15 * time.Second) // no election moves any more
		lead("x", "a")
		lead("y", "b")
		release := make(chan struct{})
		begun, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- f.in("a", "x").Lead(context.Background(), func(ctx context.Context, _ Lease) error {
				close(begun)
				<-release
				return nil
			})
		}()
		f.until(time.Minute, "work", func() bool {
			select {
			case <-begun:
				return true
			default:
				return false
			}
		})
		f.agents["a"].cancel()
		f.sleep(100 * time.Millisecond)
		_ = f.await(func() error { return f.in("b", "y").StepDown(context.Background(), "a") })
		for range 2000 {
			f.sleep(time.Millisecond)
			require.NotEqual(t, "a", f.gooseOf("y"))
		}
		close(release)
		require.NoError(t, f.wait("a"))
		<-ended
		f.allLed("x", "y")
	})
}

func TestOneThatIsRevivedIsNotDeadInElectionsThatHaveNotBegun(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", joining("10.0.0.9"), contesting("x"))
		f.sleep(time.Second)
		require.NoError(t, f.agents["a"].Die(time.Second))
		require.Equal(t, api.RoleDead, f.statusOf("a", "x").Role)
		f.sleep(3 * time.Second)
		require.Equal(t, api.RoleDuck, f.statusOf("a", "x").Role)
	})
}

// An agent that has joined a flock shows that, even before it has a config.
func TestOneThatJoinsAFlockWithoutAGooseShowsTheFlock(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.crash("b")
		f.crash("c")
		f.start("d", joining("10.0.0.1"))
		f.until(time.Minute, "d is bound", func() bool { return !f.record("d").FlockID.IsZero() })
		f.sleep(time.Second)
		require.Equal(t, f.record("d").FlockID.String(), f.agents["d"].Status().FlockID)
	})
}

// A recovery ends elections, but keeps the promises made in them.
func TestRecoveryKeepsThePromisesOfAllElections(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x")
		f.sleep(2 * time.Second)
		f.crash("a")
		disk, err := store.Open("/data", f.agents["a"].disk)
		require.NoError(t, err)
		st := disk.State()
		st.Elections[1].Record.PromiseMax = 5 * time.Second
		require.NoError(t, disk.Save(st))
		r, err := recovery.Plan(disk, []string{"a"}, nil)
		require.NoError(t, err)
		rec, _ := r.Next.Record()
		require.Equal(t, 5*time.Second, rec.PromiseMax)
		require.NoError(t, disk.Close())
	})
}

// A goose that is no longer a voter and cannot hand over still adjusts the voters.
func TestAGooseThatIsNoVoterOfTheFlockKeepsItsVotersInStep(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		three := func(c *Config) { c.Voters = 3 }
		for _, name := range []string{"a", "b"} {
			f.start(name, joining("10.0.0.1"), expecting(3), three)
		}
		f.start("c", joining("10.0.0.1"), expecting(3), three, contesting("x"))
		f.settle(3)
		f.allLed("x")
		f.until(time.Minute, "c is no goose but of x", func() bool {
			_ = f.await(func() error { return f.agents["c"].StepDown(context.Background(), "") })
			return f.goose() != "c" && f.goose() != ""
		})
		f.start("d", joining("10.0.0.1"), three, withPriority(200))
		f.allAlive()
		f.sleep(15 * time.Second)
		id, err := election.ParseID(f.agents["c"].Status().ID)
		require.NoError(t, err)
		f.onLoop(f.goose(), func(l *life) {
			var fx election.Effects
			l.node().Step(l.now(), election.Change{Voter: election.Voter{ID: id}, Remove: true}, &fx)
			require.NoError(t, fx.Err)
		})
		f.until(time.Minute, "d votes in c's place", func() bool {
			return !f.voter("c") && f.voter("d")
		})
		f.until(time.Minute, "all the flock's voters are in x", func() bool { return f.votersOf("c", "x") == 4 })
		f.sleep(15 * time.Second)
		require.Equal(t, "c", f.gooseOf("x"))
	})
}

// A goose that leaves and cannot hand over does not cost the majority.
func TestTheOnlyContestantLeaves(t *testing.T) {
	for range 4 {
		inFlock(t, func(t *testing.T, f *testFlock) {
			f.foundContestedByC()
			f.allLed("x")
			require.NoError(t, f.await(func() error { return f.agents["c"].Leave(context.Background(), false) }))
			require.NoError(t, f.wait("c"))
			f.sleep(20 * time.Second)
			voter := f.goose()
			f.stop(voter)
			f.start(voter, joining("10.0.0.1", "10.0.0.2"), contesting("x"))
			f.until(time.Minute, "it has a goose", func() bool { return f.gooseOf("x") == voter })
		})
	}
}

// Most voters of an election go while no agent contests it.
func TestAVoterThatIsLeftAloneCares(t *testing.T) {
	for range 6 {
		inFlock(t, func(t *testing.T, f *testFlock) {
			f.foundContestedByC()
			f.allLed("x")
			f.stop("c")
			f.start("c", joining("10.0.0.1", "10.0.0.2"))
			f.settle(3)
			f.allAlive()
			dead := f.ducks()[0]
			f.crash(dead)
			goose := f.goose()
			f.until(time.Minute, "it is taken out", func() bool {
				return f.await(func() error { return f.agents[goose].ForceLeave(context.Background(), dead) }) == nil
			})
			f.until(time.Minute, "one voter", func() bool { return len(f.agents[goose].Status().Config.Voters) == 1 })
			f.until(time.Minute, "x follows", func() bool { return f.votersOf(goose, "x") == 1 })
		})
	}
}

// An agent that hears late of an election without a goose learns its voters from the
// others.
func TestTheOnlyContestantMissedTheFounding(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(2 * time.Second)
		again := func(name string, names ...string) {
			f.stop(name)
			f.start(name, joining("10.0.0.1", "10.0.0.2"), contesting(names...))
			f.until(time.Minute, "a goose", func() bool { return f.agreed(name) })
		}
		f.stop("c")
		again("a", "x")
		f.until(time.Minute, "x", func() bool { return f.gooseOf("x") == "a" })
		again("b", "y")
		f.until(time.Minute, "y", func() bool { return f.gooseOf("y") == "b" })
		again("a")
		f.start("c", joining("10.0.0.1", "10.0.0.2"), contesting("x"))
		f.until(time.Minute, "it leads", func() bool { return f.gooseOf("x") == "c" })
	})
}
