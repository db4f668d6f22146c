package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/wire"
)

func TestExpectThreeWithFourFoundsNothing(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		for i := range 4 {
			f.start(nth(i), joining("10.0.0.1"), expecting(3))
			if i == 0 {
				f.sleep(50 * time.Millisecond) // the seed answers all others at their first call
			}
		}
		for i := range 4 {
			f.warns(10*time.Second, nth(i), "expected 3, see 4: a b c d")
		}
		f.sleep(30 * time.Second)
		for i := range 4 {
			require.Empty(t, f.agents[nth(i)].Status().FlockID)
		}
		f.stop("b")
		f.settle(3)
	})
}

func TestAFounderWithoutExpectJoins(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		for i := range 3 {
			f.start(nth(i), joining("10.0.0.1"), expecting(3))
		}
		f.start("d", joining("10.0.0.1"))
		f.settle(3)
		require.False(t, f.voter("d"))
		f.start("e", joining("10.0.0.1"), expecting(3)) // comes to a founded flock, and joins it
		f.settle(5)
	})
}

func TestSixFoundThoughTheCoordinatorIsNoVoterAndCrashes(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		for i := range 6 {
			f.start(nth(i), joining("10.0.0.1"), expecting(6), func(c *Config) {
				p := uint8(100)
				if i == 0 {
					p = 1
				}
				c.Priority = &p
			})
		}
		f.until(10*time.Second, "one of them has founded", func() bool {
			for _, name := range f.live() {
				if f.agents[name].Status().FlockID != "" {
					return true
				}
			}
			return false
		})
		var founder string
		for _, name := range f.live() {
			if f.agents[name].Status().FlockID != "" {
				founder = name
			}
		}
		f.crash(founder)
		f.sleep(10 * time.Second)
		f.start(founder, joining("10.0.0.2"))
		f.settle(5)
		require.Len(t, f.geese, 1, "one flock")
	})
}

func TestTwoFlocksThatMeetReportEachOther(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.start("b")
		f.settle2("a", "b")
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = f.await(func() error { _, err := f.agents["b"].Join(ctx, []string{"10.0.0.1"}); return err })
		f.warns(5*time.Second, "a", "agent b at 10.0.0.2:3825 is of flock "+f.agents["b"].Status().FlockID+", and this one is of "+f.agents["a"].Status().FlockID)
		f.warns(5*time.Second, "b", "agent a at 10.0.0.1:3825 is of flock "+f.agents["a"].Status().FlockID)
		require.Equal(t, 1, f.agents["a"].Status().Alive)
		require.Equal(t, 1, f.agents["b"].Status().Alive)
		require.Len(t, f.agents["a"].Members(), 1)
		f.settle2("a", "b")
	})
}

// settle2 waits until both are geese of their own flocks.
func (f *testFlock) settle2(names ...string) {
	f.t.Helper()
	f.until(10*time.Second, "each is its own goose", func() bool {
		for _, name := range names {
			if s := f.agents[name].Status(); s.Goose == nil || s.Goose.Name != name {
				return false
			}
		}
		return true
	})
}

func TestAnotherLabelIsReportedByBoth(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.start("b", joining("10.0.0.1"), func(c *Config) { c.Flock = "other" })
		f.warns(5*time.Second, "a", `is of flock "other", and this one is of "test"`)
		f.warns(5*time.Second, "b", `is of flock "test", and this one is of "other"`)
		f.warns(5*time.Second, "b", "nobody answers at 10.0.0.1")
		require.Equal(t, 1, f.agents["a"].Status().Alive)
	})
}

func key(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), wire.KeySize)) }

func TestAWrongKeyIsReportedByBoth(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.keys = [][]byte{key('x')}
		f.start("a")
		f.keys = [][]byte{key('y')}
		f.start("b", joining("10.0.0.1"))
		f.warns(5*time.Second, "a", "10.0.0.2 seals with key "+wire.KeyID(key('y'))+", we hold "+wire.KeyID(key('x')))
		f.warns(5*time.Second, "b", "10.0.0.1:3825 refuses our streams: it seals with key "+wire.KeyID(key('x'))+", we hold "+wire.KeyID(key('y'))+": give both the same --key-file")
		require.NotContains(t, strings.Join(f.agents["b"].Status().Warnings, "\n"), "nobody answers", "nothing else is suggested")
		require.Contains(t, f.agents["b"].Status().Warnings[0], "it seals with key")
		w := f.why("b")
		require.Len(t, w.Reasons, 1)
		require.Equal(t, api.WhyKeys, w.Reasons[0].Kind)
		require.Equal(t, "give both the same --key-file", w.Reasons[0].Remedy)
		f.keys = nil
		f.start("c", joining("10.0.0.1"))
		f.warns(5*time.Second, "a", "10.0.0.3 sends without a key, we hold "+wire.KeyID(key('x')))
		f.warns(5*time.Second, "c", "refuses our streams: it seals with key "+wire.KeyID(key('x'))+", we hold none")
		f.sleep(10 * time.Second)
		require.Equal(t, 1, f.agents["a"].Status().Alive)
	})
}

func TestKeysRotateUnderALiveGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		old, fresh := key('x'), key('y')
		f.keys = [][]byte{old}
		f.found(3)
		f.allAlive()
		term := f.agents["a"].Status().Term
		for _, keys := range [][][]byte{{old, fresh}, {fresh, old}, {fresh}} {
			for _, name := range f.live() {
				require.NoError(t, f.agents[name].SetKeys(context.Background(), keys))
				f.sleep(time.Second)
			}
		}
		f.sleep(time.Minute)
		f.settle(3)
		f.allAlive()
		require.Equal(t, term, f.agents["a"].Status().Term)
		require.NoError(t, f.agents["a"].Die(time.Second))
		f.until(10*time.Second, "its next life has the new key", func() bool { return f.agreed(f.live()...) })
		require.Error(t, f.agents["a"].SetKeys(context.Background(), nil))
	})
}

func TestAJoinThatNobodyAnswersIsWarnedOfWithinTwoSeconds(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.net.Partition() // a black hole does not even refuse
		f.start("a", joining("10.0.0.77", "10.0.0.78"))
		f.warns(2*time.Second, "a", "nobody answers at 10.0.0.77 10.0.0.78: start an agent there, or check the address, the port (UDP and TCP), --flock and the key")
		f.warns(time.Second, "a", "no flock joined yet")
	})
}

func TestJoinCommandNeverCountsItself(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		_, err := f.agents["a"].Join(context.Background(), []string{"10.0.0.1"})
		require.ErrorContains(t, err, "that is this agent itself")
		_, err = f.agents["a"].Join(context.Background(), []string{"10.0.0.9"})
		require.ErrorContains(t, err, "nobody answered")
		_, err = f.agents["a"].Join(context.Background(), []string{"10.0.0.9:99999"})
		require.ErrorContains(t, err, "want 1 to 65535")
		f.start("b", joining("10.0.0.250")) // it looks for an agent that does not exist
		f.sleep(time.Second)
		n, err := f.agents["a"].Join(context.Background(), []string{"10.0.0.1", "10.0.0.2"})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		f.until(time.Minute, "b has joined", func() bool { return f.agreed("a", "b") })
	})
}

func TestTheSecondOfANameExitsAndNamesTheFirst(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.sleep(10 * time.Second)
		f.start("x", joining("10.0.0.1"), func(c *Config) { c.Name = "b" })
		var taken *TakenError
		require.ErrorAs(t, f.wait("x"), &taken)
		require.Equal(t, TakenError{What: "name", Value: "b", Holder: "10.0.0.2:3825", Flag: "name"}, *taken)
		f.sleep(time.Minute)
		f.settle(3)
		require.Len(t, f.live(), 3)
	})
}

func TestTheFirstOfANameStaysThoughItWasAlone(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.sleep(time.Minute)
		f.start("x", joining("10.0.0.1"), func(c *Config) { c.Name = "a" })
		require.ErrorContains(t, f.wait("x"), "name a is taken by the agent at 10.0.0.1:3825: choose another with --name")
		f.sleep(time.Minute)
		require.Equal(t, "a", f.goose())
	})
}

func TestADeadHoldersNameIsTakenInTheEnd(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(2 * nameWindow) // until then x may be the one that keeps the name
		duck := f.ducks()[0]
		f.crash(duck)
		f.start("x", joining(f.agents[f.goose()].addr.String()), func(c *Config) { c.Name = duck })
		f.warns(2*time.Second, "x", "another agent has the name "+duck+" too")
		f.until(time.Minute, "the name is free", func() bool {
			return !strings.Contains(strings.Join(f.agents["x"].Status().Warnings, "\n"), "is named")
		})
		require.Empty(t, f.agents["x"].ended)
	})
}

func TestATakenPortIsNamedAndLeavesNoTrace(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		f.agent("b").addr = f.agents["a"].addr
		f.start("b")
		var taken *TakenError
		require.True(t, errors.As(f.wait("b"), &taken))
		require.Equal(t, "port", taken.What)
		f.agents["b"].addr = f.addr(10, 2)
		f.start("b") // as if it were its first start
		f.settle2("a", "b")
	})
}

func TestADirectoryThatMetNoFlockNeedsAWord(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", joining("10.0.0.9"))
		f.sleep(time.Second)
		f.stop("a")
		_, err := New(f.config(f.agents["a"]))
		require.ErrorContains(t, err, "it belongs to an agent that has met no flock yet: start it with --join ADDR or --expect N")
	})
}

func TestAFlockOfTwoIsToldOfItsWeakness(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.start("b", joining("10.0.0.1"))
		f.warns(5*time.Second, "a", "a flock of two has one voter and no automatic failover: start a third agent, or a witness")
		f.warns(5*time.Second, "b", "a flock of two")
	})
}
