package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/lead"
)

// raise raises the mark of an agent, in virtual time.
func (f *testFlock) raise(name string, to, token uint64, slot time.Duration) error {
	return f.await(func() error {
		return newBackend(f.agents[name].Agent).Advance(f.t.Context(), to, token, slot)
	})
}

func (f *testFlock) markOf(name string) (m api.Mark) {
	require.NoError(f.t, f.await(func() (err error) {
		m, err = newBackend(f.agents[name].Agent).Mark(f.t.Context())
		return err
	}))
	return m
}

func TestAMarkOutlivesItsGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.settle(3)
		g := f.goose()
		require.Equal(t, api.Mark{Committed: true}, f.markOf(g))
		require.NoError(t, f.raise(g, 7, 0, 0))
		require.Equal(t, api.Mark{Mark: 7, Committed: true}, f.markOf(g))
		for _, duck := range f.ducks() {
			require.False(t, f.markOf(duck).Committed, "only the goose knows")
			require.ErrorContains(t, f.raise(duck, 8, 0, 0), "is not the goose; run this on "+g)
		}
		require.ErrorContains(t, f.raise(g, 8, f.agents[g].state().Token+1, 0), "is not the goose")
		f.crash(g)
		f.until(10*time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != g })
		next := f.goose()
		require.Equal(t, api.Mark{Mark: 7, Committed: true}, f.markOf(next))
		err := f.raise(next, 7, 0, 0)
		require.EqualError(t, err, "the mark is 7 already: only a larger number can follow")
		require.Equal(t, api.CodeMarkTaken, api.CodeOf(err))
		require.ErrorIs(t, err, api.ErrConflict)
		require.NoError(t, f.raise(next, 8, f.agents[next].state().Token, 0))
	})
}

// A mark that was used up is set back by a recovery, and an agent that comes later from
// its old disk does not bring it back.
func TestARecoverySetsAMarkBack(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.settle(3)
		g := f.goose()
		require.NoError(t, f.raise(g, election.MaxMark, 0, 0))
		f.sleep(time.Second) // all have it
		for _, name := range f.live() {
			f.crash(name)
		}
		low := uint64(12)
		for _, name := range []string{"a", "b"} {
			_, err := f.recover(name, "a", "b")
			require.ErrorContains(t, err, "the mark is 9007199254740991")
			r, err := f.recoverTo(name, &low, "a", "b")
			require.NoError(t, err)
			require.EqualValues(t, low, r.NextMark)
			f.start(name)
		}
		f.agree()
		f.start("c")
		f.agree()
		f.settle(3)
		for range 2 { // the second time c votes for the goose, or is it
			g = f.goose()
			require.EqualValues(t, low, f.markOf(g).Mark)
			f.crash(g)
			f.until(10*time.Second, "another goose", func() bool { return f.goose() != "" && f.goose() != g })
			f.start(g)
			f.settle(3)
		}
		require.NoError(t, f.raise(f.goose(), low+1, 0, 0))
	})
}

// An agent that the recovery keeps, but whose disk was not recovered, brings the old mark back.
// The same recovery, on the disks of all this time, sets it.
func TestARecoveryThatWasForgottenOnOneDiskIsRepeated(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.settle(3)
		require.NoError(t, f.raise(f.goose(), election.MaxMark, 0, 0))
		f.sleep(time.Second) // all have it
		low := uint64(12)
		for i, mark := range []uint64{election.MaxMark, low} {
			for _, name := range f.live() {
				f.crash(name)
			}
			for _, name := range []string{"a", "b"}[:i+1] {
				_, err := f.recoverTo(name, &low, "a", "b")
				require.NoError(t, err)
			}
			f.start("a")
			f.start("b")
			f.agree()
			require.EqualValues(t, mark, f.markOf(f.goose()).Mark)
		}
	})
}

func TestAGooseWithoutAMajorityRaisesNoMark(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.settle(3)
		g := f.goose()
		f.cut([]string{g}, f.ducks())
		err := f.raise(g, 7, 0, 0)
		require.ErrorIs(t, err, api.ErrNoMajority)
		require.ErrorContains(t, err, "no majority of the voters has confirmed the mark in time")
		f.heal()
		f.until(20*time.Second, "a goose", func() bool { return f.agreed(f.live()...) })
	})
}

func TestLeadRaisesTheMark(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.settle(3)
		g := f.goose()
		require.NoError(t, f.await(func() error {
			return f.agents[g].Lead(t.Context(), func(ctx context.Context, l Lease) error {
				if err := l.Advance(ctx, 3); err != nil {
					return err
				}
				if err := l.Advance(ctx, 3); !errors.Is(err, lead.ErrTaken) {
					return err
				}
				if l.Mark() != 3 {
					return errors.New("it does not know its own mark")
				}
				return nil
			}, lead.Keep())
		}))
		require.Equal(t, api.Mark{Mark: 3, Committed: true}, f.markOf(g))
	})
}

// A holder that comes while a mark waits for its majority is told the one before.
func TestALeaseTellsTheLastCommittedMark(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.settle(3)
		g := f.goose()
		require.NoError(t, f.raise(g, 7, 0, 0))
		f.cut([]string{g}, f.ducks())
		raised := make(chan error, 1)
		go func() { raised <- newBackend(f.agents[g].Agent).Advance(t.Context(), 8, 0, 0) }()
		marks := make(chan uint64, 1)
		ctx, end := context.WithCancel(t.Context())
		led := make(chan error, 1)
		go func() {
			led <- f.agents[g].Lead(ctx, func(_ context.Context, l Lease) error {
				marks <- l.Mark()
				return nil
			}, lead.Keep())
		}()
		require.EqualValues(t, 7, <-marks)
		require.ErrorIs(t, <-raised, api.ErrNoMajority)
		end()
		<-led
		f.heal()
		f.until(20*time.Second, "a goose", func() bool { return f.agreed(f.live()...) })
	})
}

// A clock that is a day ahead must not take the slots of the next day.
func TestASlotOfAClockThatIsAheadIsRefused(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		ahead := func(d time.Duration) func(*Config) {
			return func(c *Config) { c.WallClock = func() time.Time { return time.Now().Add(d) } }
		}
		for i := range 3 {
			change := []func(*Config){ahead(time.Duration(i) * 3 * time.Second), joining("10.0.0.1"), expecting(3)}
			if i == 1 {
				change = append(change, withPriority(200), ahead(24*time.Hour))
			}
			f.start(nth(i), change...)
		}
		f.settle(3)
		if f.goose() != "b" {
			require.NoError(t, f.await(func() error { return f.agents[f.goose()].StepDown(t.Context(), "b") }))
			f.until(5*time.Second, "b is the goose", func() bool { return f.goose() == "b" })
		}
		slot := api.SlotOf(time.Now().Add(24*time.Hour), time.Minute)
		err := f.raise("b", slot, 0, time.Minute)
		require.ErrorIs(t, err, api.ErrConflict)
		require.Equal(t, api.CodeClockAhead, api.CodeOf(err))
		require.ErrorContains(t, err, "is 1440 slots ahead of the clocks of most voters: the clock of b is 23h59m54s ahead of that of c; correct it")
		require.NoError(t, f.raise("b", api.SlotOf(time.Now(), time.Minute)+1, 0, time.Minute))
	})
}

func TestHalfOfTheClocksMakeNoSlotNear(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	slot := api.SlotOf(now, time.Minute)
	at := func(ds ...time.Duration) (clocks []clockAt) {
		for i, d := range ds {
			clocks = append(clocks, clockAt{nth(i), d})
		}
		return clocks
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		clocks []clockAt
		slot   uint64
		refuse string
	}{
		{at(0), slot + 2, ""},
		{at(0), slot + 3, "the clock of the program that asks is ahead of that of a"},
		{at(-3*time.Second, -time.Second, 0), slot + 1440, "the clock of the program that asks is ahead of that of c"},
		{at(-day, 0), slot, "the clock of b is 24h0m0s ahead of that of a"},
		{at(day, 0), slot, ""},
		{at(-day, -day, 0), slot, "the clock of c is 24h0m0s ahead of that of "},
		{at(-day, time.Second, 0), slot, ""},
		{at(-3*time.Second, 3*time.Second, 0), slot + 2, ""},
		{at(-day, -day, 0, 0), slot, "the clock of d is 24h0m0s ahead"},
		{at(-day, 0, 0, 0, 0), slot, ""},
	} {
		err := judgeSlot(c.slot, time.Minute, now, c.clocks)
		if c.refuse == "" {
			require.NoError(t, err, "%v", c.clocks)
		} else {
			require.ErrorContains(t, err, c.refuse, "%v", c.clocks)
		}
	}
}
