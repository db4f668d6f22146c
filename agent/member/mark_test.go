package member

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// advance raises a mark, and gives what becomes of it.
func (a *testAgent) advance(name string, to uint64) (err *error, done *bool) {
	return a.advanceIn(name, to, 0)
}

func (a *testAgent) advanceIn(name string, to, token uint64) (err *error, done *bool) {
	err, done = new(error), new(bool)
	a.AdvanceMark(a.Named(name), to, token, func(why error) {
		require.False(a.f.t, *done, "told twice")
		if why == nil {
			i := slices.IndexFunc(a.f.agents, func(b *testAgent) bool { return b == a })
			require.GreaterOrEqual(a.f.t, i, 0)
			require.GreaterOrEqual(a.f.t, a.savedMark(name), to, "told before it is saved")
		}
		*err, *done = why, true
	})
	a.fed = true
	return err, done
}

func (a *testAgent) savedMark(name string) uint64 {
	for _, e := range a.saved.Elections {
		if e.Name == name {
			return e.Record.Mark
		}
	}
	return 0
}

// advanced raises a mark and waits for the commit.
func (f *testFlock) advanced(name string, to uint64) {
	f.t.Helper()
	err, done := f.goose(name).advance(name, to)
	f.until(time.Second, "committed", func() bool { return *done })
	require.NoError(f.t, *err)
	mark, committed := f.goose(name).Named(name).Mark(f.now)
	require.Equal(f.t, to, mark)
	require.True(f.t, committed)
}

func refusalOf(t *testing.T, err error) *Refusal {
	t.Helper()
	var r *Refusal
	require.ErrorAs(t, err, &r)
	return r
}

func TestAMarkIsSavedByAMajorityBeforeItsRaiserIsTold(t *testing.T) {
	f := flockOf(t, 3, "x")
	f.advanced("", 5)
	f.advanced("x", 3)
	held := 0
	for _, a := range f.agents {
		if a.savedMark("") == 5 {
			held++
		}
		require.LessOrEqual(t, a.savedMark("x"), uint64(3), "each election has its own")
	}
	require.GreaterOrEqual(t, held, 2)
	g := f.goose("")
	mark, committed := g.other().Default().Mark(f.now)
	require.EqualValues(t, 5, mark)
	require.False(t, committed, "only the goose knows")

	err, _ := g.advance("", 5)
	require.Equal(t, &Refusal{Code: MarkTaken, Mark: 5}, refusalOf(t, *err))
	err, _ = g.advance("", election.MaxMark+1)
	require.ErrorIs(t, *err, election.ErrInvalid)
	err, _ = g.other().advance("", 6)
	require.Equal(t, g.me, refusalOf(t, *err).Agent)
	require.Equal(t, NotGoose, refusalOf(t, *err).Code)
	err, _ = g.advanceIn("", 6, g.node().Lease().Token+1)
	require.Equal(t, NotGoose, refusalOf(t, *err).Code, "of another goose period")
	err, done := g.advanceIn("", 6, g.node().Lease().Token)
	f.until(time.Second, "committed", func() bool { return *done })
	require.NoError(t, *err)
}

func TestALoneVoterTellsAfterItsOwnSave(t *testing.T) {
	f := newTestFlock(t)
	a := f.start()
	f.goose("")
	err, done := a.advance("", 8)
	require.False(t, *done, "the save comes first")
	a.turn()
	require.True(t, *done)
	require.NoError(t, *err)

	_, done = a.advance("", 9)
	a.saveErr = errDisk
	a.turn()
	require.False(t, *done, "a failed save tells nothing")
}

// The goose dies after any effect of the turn that raises the mark. Whatever its
// successor knows, no mark that was told as committed is lost, and none is told twice.
func TestCrashesAroundAMarkLoseNone(t *testing.T) {
	for _, lost := range []string{"nothing", "heartbeats", "acks"} {
		t.Run(lost, func(t *testing.T) {
			f := flockOf(t, 3)
			f.advanced("", 1)
			for mark := uint64(2); mark < 6; mark++ {
				g := f.goose("")
				f.lost = func(from, to *testAgent, m *wire.Message) bool {
					return lost == "heartbeats" && from == g && m.Kind == election.Heartbeat || lost == "acks" && to == g && m.Kind == election.HeartbeatAck
				}
				err, done := g.advance("", mark)
				for range mark { // another moment each time
					f.step(f.now + testHeartbeat)
				}
				told := *done && *err == nil
				require.False(t, told && lost != "nothing")
				g.crash()
				f.lost = nil
				next := f.goose("")
				g.begin()
				known, committed := next.Default().Mark(f.now)
				require.True(t, committed, "committed again before it is the goose")
				require.GreaterOrEqual(t, known, mark-1)
				if told {
					require.GreaterOrEqual(t, known, mark)
				}
				if known < mark {
					f.advanced("", mark)
				} else {
					err, _ := next.advance("", mark)
					require.Equal(t, MarkTaken, refusalOf(t, *err).Code)
				}
				f.run(time.Second)
			}
		})
	}
}

// A goose without a majority tells, after two leases, that it does not know; what
// becomes of the mark in a later term is nobody's success.
func TestAMarkThatMayBeLostIsNoSuccess(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	f.lost = func(from, to *testAgent, m *wire.Message) bool { return from == g || to == g }
	err, done := g.advance("", 4)
	f.until(3*testLease, "told", func() bool { return *done })
	require.Equal(t, MarkUncommitted, refusalOf(t, *err).Code)
	err, _ = g.advance("", 5)
	code := refusalOf(t, *err).Code
	require.True(t, code == NoLease || code == NotGoose, code)
	f.until(10*time.Second, "another goose", func() bool { l := f.leader(""); return l != nil && l != g })
	f.lost = nil
	f.goose("")
	f.advanced("", 4) // nobody else had saved it
	require.EqualValues(t, 4, g.savedMark(""))
}

func TestAMarkIsNotRaisedDuringAHandOver(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	l := g.attach("")
	l.keeps = true
	f.run(2 * testHeartbeat)
	_, done := g.stepDown("", nil, false)
	require.False(t, *done)
	err, _ := g.advance("", 1)
	require.True(t, errors.As(*err, new(*Refusal)))
	require.Equal(t, HandoverUnderWay, refusalOf(t, *err).Code)
	l.drain()
	f.until(5*time.Second, "handed over", func() bool { return *done })
}
