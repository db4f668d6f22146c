package agent

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/why"
	"duckduckgoose/agent/member"
)

// frozen reports whether an agent warns of a freeze.
func (f *testFlock) frozen(name string) bool {
	return slices.ContainsFunc(f.agents[name].Status().Warnings, func(w string) bool { return strings.Contains(w, "is frozen for") })
}

func (f *testFlock) freezes(name string, d time.Duration) api.Freeze {
	f.t.Helper()
	var got api.Freeze
	require.NoError(f.t, f.await(func() (err error) {
		got, err = f.agents[name].Freeze(context.Background(), d)
		return err
	}))
	return got
}

func (f *testFlock) thaws(name string) api.Freeze {
	f.t.Helper()
	var got api.Freeze
	require.NoError(f.t, f.await(func() (err error) {
		got, err = f.agents[name].Thaw(context.Background())
		return err
	}))
	return got
}

// allFrozen waits until all live agents warn of a freeze, or none does.
func (f *testFlock) allFrozen(want bool) {
	f.t.Helper()
	f.until(2*time.Minute, "all know of the freeze or its end", func() bool {
		return !slices.ContainsFunc(f.live(), func(name string) bool { return f.frozen(name) != want })
	})
}

func TestAFrozenGooseStepsDownByForceOnly(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		goose, duck := f.goose(), f.ducks()[0]
		require.Equal(t, api.Freeze{Remaining: 3600, Reached: []string{"a", "b", "c"}}, f.freezes(duck, 0), "by any agent")
		for _, name := range f.live() {
			f.warns(time.Second, name, "the flock is frozen for 1h00m more: planned goose changes are blocked, failover works (ddgoose thaw)")
			require.Equal(t, []string{"the flock is frozen for 1h0m0s more: planned goose changes are blocked, failover works"}, f.reasons(name, api.WhyFrozen))
			_, at := f.scrape(name)
			require.InDelta(t, 3600, at["ddgoose_freeze_remaining_seconds"], 2)
		}
		err := f.agents[goose].StepDown(context.Background(), "")
		require.ErrorIs(t, err, api.ErrConflict)
		require.EqualError(t, err, "the flock is frozen for 1h00m more")
		require.Equal(t, string(member.FlockFrozen), api.CodeOf(err))
		require.Equal(t, goose, f.goose())

		require.NoError(t, f.await(func() error {
			_, err := newBackend(f.agents[goose].Agent).StepDown(context.Background(), duck, true)
			return err
		}))
		f.settle(3)
		require.Equal(t, duck, f.goose())

		require.Equal(t, api.Freeze{Reached: []string{"a", "b", "c"}}, f.thaws(goose), "by any agent")
		f.allFrozen(false)
		require.NoError(t, f.await(func() error { return f.agents[duck].StepDown(context.Background(), goose) }))
	})
}

func TestAFreezeEndsByItself(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.freezes("a", 100*time.Second)
		f.warns(time.Second, "b", "frozen for 2m more")
		f.sleep(50 * time.Second)
		f.warns(time.Second, "b", "frozen for less than a minute more")
		f.sleep(48 * time.Second)
		require.True(t, f.frozen("b"))
		f.sleep(2 * time.Second)
		f.allFrozen(false)
		require.Empty(t, f.reasons("b", api.WhyFrozen))
		require.NoError(t, f.await(func() error { return f.agents[f.goose()].StepDown(context.Background(), "") }))
		f.sleep(long(time.Minute))
		f.allFrozen(false)
	})
}

func TestAFreezeNamesTimesThatAreNone(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", joining("10.0.0.9"))
		f.sleep(time.Second)
		_, err := f.agents["a"].Freeze(context.Background(), time.Hour)
		require.ErrorContains(t, err, "this agent has joined no flock yet")
		for _, d := range []time.Duration{-time.Second, 25 * time.Hour} {
			_, err = f.agents["a"].Freeze(context.Background(), d)
			require.ErrorIs(t, err, api.ErrInput)
			require.ErrorContains(t, err, "want a duration above 0 and of 24h0m0s at the most")
		}
	})
}

func TestAFrozenFlockElectsOnFailureAndAStopHandsOver(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		f.freezes("a", time.Hour)
		f.crash(f.goose())
		f.until(2*time.Second, "another goose", func() bool { return f.goose() != "" })
		next := f.goose()
		require.ErrorContains(t, f.agents[next].StepDown(context.Background(), ""), "frozen for", "it survives the change")

		at := time.Now()
		f.agents[next].cancel()
		f.until(time.Second, "a third goose", func() bool { return f.goose() != "" && f.goose() != next })
		require.Less(t, time.Since(at), 100*time.Millisecond, "handed over")
		require.NoError(t, f.wait(next))
		f.sleep(time.Second)
		require.True(t, f.frozen(f.goose()))
	})
}

func TestAFrozenFlockReplacesDeadVoters(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.start("d", joining("10.0.0.1"))
		f.allAlive()
		f.freezes("a", time.Hour)
		dead := f.ducks()[0]
		f.crash(dead)
		f.until(2*time.Minute, "d takes its place", func() bool {
			s := f.agents[f.goose()].Status()
			return len(s.Config.Voters) == 3 && !slices.ContainsFunc(s.Config.Voters, func(v api.Voter) bool { return v.Name == dead })
		})
		require.True(t, f.frozen("d"))
	})
}

func TestAFrozenFlockKeepsItsGooseWhateverItsPriority(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		goose, top := f.goose(), f.ducks()[0]
		f.reload(top, preferring(20*time.Second))
		f.until(time.Minute, "the config has it", func() bool { return f.agents[top].Status().Priority == 200 })
		f.freezes(top, time.Hour)
		token := f.agents[goose].Status().Token
		f.reload(f.ducks()[1], withPriority(50))
		f.sleep(40 * time.Second)
		require.Equal(t, token, f.agents[goose].Status().Token, "no preemption")
		require.Equal(t, []string{top + " has a higher priority (200) and asks to take over: it takes over as soon as possible"}, f.reasons(goose, api.WhyPreempted))
		f.warns(time.Second, goose, top+" (priority 200) takes over from this goose when the freeze ends (ddgoose thaw)")
		require.Len(t, f.agents[top].Status().Warnings, 1, "of the freeze alone")
		require.EqualValues(t, election.DefaultPriority, f.agents[f.ducks()[1]].Status().Priority, "no change of priorities")
		f.reload(goose, withPriority(0))
		f.sleep(20 * time.Second)
		require.Equal(t, token, f.agents[goose].Status().Token, "one made a witness stays the goose")

		f.thaws(top)
		f.until(10*time.Second, "it has taken over", func() bool { return f.goose() == top })
		f.until(10*time.Second, "a witness", func() bool { return f.agents[goose].Status().Priority == 0 })
	})
}

func TestJoinersAndThoseRestartedHearOfAFreeze(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.freezes("a", 20*time.Minute)
		f.sleep(long(4 * time.Minute))
		f.start("d", joining("10.0.0.1"))
		f.until(10*time.Second, "d knows", func() bool { return f.frozen("d") })
		left := f.agents["a"].frozen(f.clock())
		require.InDelta(t, left.Minutes(), f.agents["d"].frozen(f.clock()).Minutes(), 5.1, "gossip tells it in steps")

		duck := f.ducks()[0]
		f.crash(duck)
		f.start(duck)
		f.until(10*time.Second, "it hears it again", func() bool { return f.frozen(duck) })
		require.NoError(t, f.agents[duck].Die(time.Second))
		f.until(10*time.Second, "a revival forgets nothing", func() bool { return f.agents[duck].Status().Role == api.RoleDuck && f.frozen(duck) })

		require.Equal(t, []string{"a", "b", "c", "d"}, f.thaws("d").Reached)
		f.allFrozen(false)
		f.crash(duck)
		f.start(duck)
		f.sleep(10 * time.Second)
		require.False(t, f.frozen(duck), "nobody tells of it any more")
	})
}

func TestFreezesCrossAPartitionWhenItHeals(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		small, large := []string{"a", "b"}, []string{"c", "d", "e"}
		f.cut(small, large)
		f.until(time.Minute, "each side counts the other as dead", func() bool { return f.gossiped("a") == 2 && f.gossiped("c") == 3 })
		got := f.freezes("c", 2*time.Hour)
		require.Equal(t, large, got.Reached)
		require.Equal(t, []api.Unreached{{Name: "a", Error: "it is dead or cut off"}, {Name: "b", Error: "it is dead or cut off"}}, got.Unreached)
		require.False(t, f.frozen("a"))
		f.heal()
		f.allFrozen(true)

		f.allAlive()
		f.cut(small, large)
		f.until(time.Minute, "each side counts the other as dead", func() bool { return f.gossiped("a") == 2 && f.gossiped("c") == 3 })
		f.thaws("d")
		f.sleep(time.Second)
		require.True(t, f.frozen("a"), "it has not heard")
		require.False(t, f.frozen("e"))
		f.freezes("b", 3*time.Hour) // the newest, though fewer agents hear of it
		f.heal()
		f.allFrozen(true)
		require.InDelta(t, 3, f.agents["e"].frozen(f.clock()).Hours(), 0.1)

		f.allAlive()
		f.cut(small, large)
		f.until(time.Minute, "each side counts the other as dead", func() bool { return f.gossiped("a") == 2 && f.gossiped("c") == 3 })
		f.thaws("c")
		f.heal()
		f.allFrozen(false)
		f.sleep(long(2 * time.Minute))
		f.allFrozen(false)
	})
}

// A wrong clock at the agent that gets a command must not make the command an old one.
func TestTheNewestFreezeIsTheLastCommandWhateverTheClock(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		ahead := member.FreezeNotice{Stamp: uint64(time.Now().Add(10 * 365 * 24 * time.Hour).UnixNano()), Left: time.Hour}
		take := func(n member.FreezeNotice) (taken bool) {
			taken, err := ask(context.Background(), f.agents["a"].Agent, func(l *life, answer func(bool, error)) error {
				answer(l.member.TakeFreeze(n), nil)
				return nil
			})
			require.NoError(t, err)
			return taken
		}
		require.True(t, take(ahead))
		f.allFrozen(true)
		f.thaws("b")
		f.allFrozen(false)
		require.False(t, take(ahead), "a repeated one is old")
		require.False(t, take(member.FreezeNotice{Stamp: (1 << 61) + 1, Left: time.Hour}), "no command could be newer")
		require.False(t, take(member.FreezeNotice{}))
		f.sleep(10 * time.Second)
		f.allFrozen(false)
	})
}

func TestWhatIsLeftOfAFreezeInWords(t *testing.T) {
	for left, want := range map[time.Duration]string{
		time.Nanosecond: "less than a minute", 59 * time.Second: "less than a minute", 61 * time.Second: "1m",
		52*time.Minute + 40*time.Second: "53m", 59*time.Minute + 40*time.Second: "1h00m", 24 * time.Hour: "24h00m", 90 * time.Minute: "1h30m",
	} {
		require.Equal(t, want, why.ThawsIn(left), "%v", left)
	}
}

// A dead agent forgot a thaw, and so believed the thawed freeze again.
func TestARevivalForgetsNoThaw(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.thaws("a")
		ducks := f.ducks()
		duck := ducks[0]
		f.cut([]string{duck}, []string{ducks[1], f.goose()})
		require.NoError(t, f.agents[duck].Die(time.Second))
		f.until(10*time.Second, "it is back, and hears from nobody", func() bool { return f.agents[duck].Status().Role == api.RoleDuck })
		believed, err := ask(t.Context(), f.agents[duck].Agent, func(l *life, answer func(bool, error)) error {
			answer(l.member.TakeFreeze(member.FreezeNotice{Stamp: 1, Left: time.Hour}), nil)
			return nil
		})
		require.NoError(t, err)
		require.False(t, believed)
	})
}
