package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestFiveAgentsFromOneSeedElectOneGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		start := time.Now()
		f.found(5)
		require.Less(t, time.Since(start), 300*time.Millisecond)
		f.allAlive()
	})
}

func TestAFlockGrowsFromOneSeedToFiveVotersInTenSeconds(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		start := time.Now()
		f.start("a")
		for i := 1; i < 5; i++ {
			f.start(nth(i), joining("10.0.0.1"))
		}
		f.until(3*time.Second, "one goose", func() bool { return f.agreed(f.live()...) })
		f.settle(5)
		require.Less(t, time.Since(start), 10*time.Second)
	})
}

func TestKilledGooseIsFollowedAndComesBackAsADuck(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		for range 3 {
			old := f.goose()
			token := f.agents[old].Status().Token
			at := time.Now()
			f.crash(old)
			f.until(2*time.Second, "a new goose", func() bool { return f.goose() != "" })
			require.Less(t, time.Since(at), 600*time.Millisecond)
			require.Greater(t, f.agents[f.goose()].Status().Token, token)
			f.start(old)
			f.settle(5)
			require.NotEqual(t, old, f.goose())
		}
	})
}

func TestPartitionHealsAfterFiveMinutes(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		small, large := []string{"a", "b"}, []string{"c", "d", "e"}
		f.cut(small, large)
		f.until(5*time.Second, "a goose among three", func() bool { return f.agreed(large...) && f.goose() >= "c" })
		f.until(5*time.Second, "none among two", func() bool { return !f.agreed("a") && !f.agreed("b") })
		f.warns(time.Minute, "a", "no goose yet: waiting for 1 more of c, d, e (3 of 5 needed)")
		term := f.agents[f.goose()].Status().Term
		f.sleep(long(5 * time.Minute))
		require.Equal(t, term, f.agents[f.goose()].Status().Term)
		f.heal()
		f.until(2*time.Minute, "one flock of five again", func() bool { return f.agreed(f.live()...) && f.agents["a"].Status().Alive == 5 })
		require.Equal(t, term, f.agents[f.goose()].Status().Term)
	})
}

func TestThirtyPercentLossDoesNotRaiseTheTerm(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.sleep(2 * time.Second)
		term := f.agents["a"].Status().Term
		for _, name := range f.live() {
			require.NoError(t, f.agents[name].faults.Set("out *: loss 30%", 0))
		}
		for range 600 {
			f.sleep(long(time.Second))
			require.NotEmpty(t, f.goose())
		}
		require.Equal(t, term, f.agents["a"].Status().Term)
	})
}

func TestStepDownHandsOver(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		old, to := f.goose(), f.ducks()[1]
		at := time.Now()
		require.NoError(t, f.await(func() error { return f.agents[old].StepDown(context.Background(), to) }))
		require.Less(t, time.Since(at), 30*time.Millisecond)
		f.settle(3)
		require.Equal(t, to, f.goose())
		require.ErrorContains(t, f.agents[old].StepDown(context.Background(), ""), old+" is not the goose; run this on "+to+" ("+f.agents[to].addr.String()+")")
		require.ErrorContains(t, f.agents[to].StepDown(context.Background(), "z"), `no agent is named "z"`)
	})
}

func TestStepDownAloneIsRefused(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		err := f.agents["a"].StepDown(context.Background(), "")
		require.ErrorIs(t, err, api.ErrConflict)
		require.ErrorContains(t, err, "no other voter can take over")
		require.Equal(t, "a", f.goose())
	})
}

func TestGracefulStopHandsOver(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		old := f.goose()
		at := time.Now()
		f.agents[old].cancel()
		f.until(time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != old })
		require.Less(t, time.Since(at), 50*time.Millisecond)
		require.NoError(t, f.wait(old))
		f.settle(3)
	})
}

func TestAbortDoesNotWait(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		old := f.agents[f.goose()]
		go func() {
			_ = old.Lead(context.Background(), func(ctx context.Context, _ Lease) error {
				<-ctx.Done()
				time.Sleep(3 * time.Second) // takes its time
				return nil
			})
		}()
		f.sleep(time.Second)
		old.cancel()
		f.sleep(time.Second)
		require.Empty(t, old.ended)
		old.Abort()
		f.until(time.Millisecond, "the end", func() bool { return len(old.ended) == 1 })
		require.NoError(t, f.wait(old.name))
	})
}

func TestSimulatedDeathIsSilentAndRevivalReadsTheDisk(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		old := f.goose()
		require.NoError(t, f.agents[old].Die(10*time.Second))
		require.Equal(t, api.RoleDead, f.agents[old].Status().Role)
		require.ErrorContains(t, f.agents[old].Die(0), "dead by simulation")
		require.ErrorContains(t, f.agents[old].Healthy(), "dead by simulation")
		f.until(2*time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != old })
		require.ErrorContains(t, f.agents[old].StepDown(context.Background(), ""), "dead by simulation")
		f.until(30*time.Second, "revived", func() bool { return f.agents[old].Status().Role == api.RoleDuck })
		require.NoError(t, f.agents[old].Healthy())
		f.settle(3)

		require.NoError(t, f.agents[old].Die(0))
		f.sleep(time.Minute)
		require.Equal(t, api.RoleDead, f.agents[old].Status().Role)
		require.NoError(t, f.agents[old].Revive())
		f.until(30*time.Second, "revived", func() bool { return f.agents[old].Status().Role == api.RoleDuck })
		require.ErrorContains(t, f.agents[old].Revive(), "not dead")
		f.settle(3)
	})
}

func TestFailedDiskEndsTheGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		old := f.goose()
		f.agents[old].disk.Fail(func(int) error { return errDiskGone })
		require.ErrorIs(t, f.await(func() error { return f.agents[old].StepDown(context.Background(), "") }), ErrStopped)
		require.ErrorIs(t, f.wait(old), errDiskGone)
		f.until(2*time.Second, "another goose", func() bool { return f.goose() != "" })
	})
}

func TestFiveHundredMillisecondsWithoutTheLoopIsNotHealthy(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		release := make(chan struct{})
		require.NoError(t, f.agents["a"].do(context.Background(), func(*life) error {
			<-release
			return nil
		}))
		f.sleep(499 * time.Millisecond)
		require.NoError(t, f.agents["a"].Healthy())
		f.sleep(10 * time.Millisecond)
		require.ErrorContains(t, f.agents["a"].Healthy(), "has not run for")
		require.Empty(t, f.goose(), "no answer depends on the loop")
		close(release)
	})
}

var errDiskGone = errors.New("disk is gone")

// Gossip loses an update now and then, and repairs that after half a minute. For so long an agent that is no voter knew
// no goose, in one of fifty new flocks of seven.
func TestAllOfANewFlockKnowTheGooseSoon(t *testing.T) {
	for seed := range uint64(20) {
		for _, rules := range []string{"", "out *: loss 10% delay 20ms 20ms", "out *: loss 30%"} {
			inFlock(t, func(t *testing.T, f *testFlock) {
				dice := rand.New(rand.NewPCG(seed, 0))
				for i := range 7 {
					f.start(nth(i), joining("10.0.0.1"), expecting(7), func(c *Config) {
						listen := c.Listen
						c.Listen = func(bind string) (Transport, Faults, error) {
							network, faults, err := listen(bind)
							if err == nil {
								err = faults.Set(rules, 0)
							}
							return network, faults, err
						}
					})
					f.sleep(time.Duration(dice.IntN(60)) * time.Millisecond)
				}
				f.until(8*time.Second, fmt.Sprintf("all know the goose (seed %d, %q)", seed, rules), func() bool {
					for _, name := range f.order {
						if f.agents[name].state().Goose == nil {
							return false
						}
					}
					return true
				})
			})
		}
	}
}
