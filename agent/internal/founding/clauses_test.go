package founding

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// founderOf makes a founder of id that has seen those of ids, all alike, for long enough.
func founderOf(id byte, durable store.Founding, ids ...byte) *Founder {
	f := New(Settings{Self: election.ID{id}, Expect: len(ids), Voters: 5}, durable)
	f.See(0, freshOf(ids...))
	return f
}

func freshOf(ids ...byte) (fresh []Fresh) {
	for _, i := range ids {
		fresh = append(fresh, Fresh{ID: election.ID{i}, Expect: len(ids), Priority: 100})
	}
	return fresh
}

func setOf(ids ...byte) (set []election.ID) {
	for _, i := range ids {
		set = append(set, election.ID{i})
	}
	return set
}

func wordOf(kind wire.FoundingKind, attempt uint64, ids ...byte) *wire.Founding {
	set := setOf(ids...)
	return &wire.Founding{Kind: kind, Attempt: attempt, Expect: len(ids), Set: set, FlockID: wire.FoundingID(set, attempt)}
}

// An abort releases those that accepted, so it is durable first: after a crash
// in between nothing of the attempt is left.
func TestAnAbortIsDurableBeforeItReleasesAnybody(t *testing.T) {
	f := founderOf(1, store.Founding{}, 1, 2, 3)
	fx := f.Tick(time.Second)
	require.NotNil(t, fx.Save)
	attempt := fx.Save.Attempt
	fx = f.Receive(time.Second, election.ID{2}, wordOf(wire.FoundRefuse, attempt, 1, 2, 3))
	require.NotNil(t, fx.Save)
	require.True(t, fx.Save.FlockID.IsZero())
	require.Equal(t, attempt, fx.Save.Aborted)
	require.Len(t, fx.Send, 2)
	for _, w := range fx.Send {
		require.Equal(t, wire.FoundAbort, w.Word.Kind)
	}
	require.False(t, f.Bound())
	require.Empty(t, f.Tick(time.Second+4*foundRetry), "after a refusal it waits")
	fx = f.Tick(time.Second + 5*foundRetry)
	require.NotNil(t, fx.Save)
	require.Greater(t, fx.Save.Attempt, attempt, "no attempt is used twice")
}

// A proposal of a former life is aborted at once: who accepted it is not known any more.
func TestAProposalOfAFormerLifeIsAborted(t *testing.T) {
	f := founderOf(1, store.Founding{}, 1, 2, 3)
	saved := f.Tick(time.Second).Save
	again := founderOf(1, *saved, 1, 2, 3)
	require.Empty(t, again.Receive(0, election.ID{2}, wordOf(wire.FoundAccept, saved.Attempt, 1, 2, 3)), "no acceptance counts")
	fx := again.Tick(time.Millisecond)
	require.NotNil(t, fx.Save)
	require.Equal(t, saved.Attempt, fx.Save.Aborted)
	require.Len(t, fx.Send, 2)
}

// Who has accepted one coordinator's proposal refuses every other's.
func TestAnAcceptanceRefusesEveryOtherCoordinator(t *testing.T) {
	f := founderOf(3, store.Founding{}, 1, 2, 3)
	fx := f.Receive(0, election.ID{1}, wordOf(wire.FoundPropose, 1, 1, 2, 3))
	require.NotNil(t, fx.Save)
	require.Equal(t, wire.FoundAccept, fx.Send[0].Word.Kind)
	f.See(time.Second, freshOf(2, 3, 4))
	fx = f.Receive(time.Second, election.ID{2}, wordOf(wire.FoundPropose, 9, 2, 3, 4))
	require.Nil(t, fx.Save)
	require.Equal(t, wire.FoundRefuse, fx.Send[0].Word.Kind)
	require.EqualValues(t, refusedBound, fx.Send[0].Word.Reason)

	f.See(2*time.Second, freshOf(1, 2, 3))
	require.Empty(t, f.Receive(2*time.Second, election.ID{1}, wordOf(wire.FoundPropose, 0, 1, 2, 3)), "an attempt left behind")
	fx = f.Receive(2*time.Second, election.ID{1}, wordOf(wire.FoundPropose, 2, 1, 2, 3))
	require.NotNil(t, fx.Save, "a later attempt of the same coordinator aborts the one before")
	require.EqualValues(t, 2, fx.Save.Attempt)
}

// An acceptance is released only of an attempt that is durably aborted here.
func TestOnlyAbortedAttemptsAreReleased(t *testing.T) {
	f := founderOf(1, store.Founding{Attempt: 4, Aborted: 4}, 1, 2, 3)
	f.See(0, nil)
	require.Empty(t, f.Receive(0, election.ID{2}, wordOf(wire.FoundAccept, 5, 1, 2, 3)), "an attempt that this disk does not know")
	require.Empty(t, f.Receive(0, election.ID{2}, wordOf(wire.FoundAccept, 4, 2, 3)), "another coordinator's")
	fx := f.Receive(0, election.ID{2}, wordOf(wire.FoundAccept, 4, 1, 2, 3))
	require.Equal(t, []Word{release(election.ID{2}, wordOf(wire.FoundAccept, 4, 1, 2, 3))}, fx.Send)
}

// Only the coordinator releases, and only by an abort of this attempt or a later one.
func TestOnlyItsCoordinatorEndsAnAcceptance(t *testing.T) {
	f := founderOf(2, store.Founding{}, 1, 2, 3)
	f.Receive(0, election.ID{1}, wordOf(wire.FoundPropose, 3, 1, 2, 3))
	require.Empty(t, f.Receive(0, election.ID{3}, wordOf(wire.FoundAbort, 3, 1, 2, 3)))
	require.Empty(t, f.Receive(0, election.ID{1}, wordOf(wire.FoundAbort, 2, 1, 2, 3)))
	require.True(t, f.Bound())
	fx := f.Receive(0, election.ID{1}, wordOf(wire.FoundAbort, 3, 1, 2, 3))
	require.NotNil(t, fx.Save)
	require.False(t, f.Bound())
}

// A proposal must name this agent, come from the lowest of its set, and be what
// this agent expects and sees.
func TestWhatAProposalMustBe(t *testing.T) {
	for _, tt := range []struct {
		name   string
		from   byte
		word   *wire.Founding
		sees   []byte
		kind   wire.FoundingKind
		reason uint8
	}{
		{"as expected", 1, wordOf(wire.FoundPropose, 1, 1, 2, 3), []byte{1, 2, 3}, wire.FoundAccept, 0},
		{"not of the lowest", 2, wordOf(wire.FoundPropose, 1, 1, 2, 3), []byte{1, 2, 3}, 0, 0},
		{"without this agent", 1, wordOf(wire.FoundPropose, 1, 1, 2, 4), []byte{1, 2, 3}, 0, 0},
		{"of another number", 1, wordOf(wire.FoundPropose, 1, 1, 2, 3, 4), []byte{1, 2, 3}, wire.FoundRefuse, refusedExpect},
		{"a view that is behind", 1, wordOf(wire.FoundPropose, 1, 1, 2, 3), []byte{2, 3}, 0, 0},
		{"one too many is seen", 1, wordOf(wire.FoundPropose, 1, 1, 2, 3), []byte{1, 2, 3, 4}, wire.FoundRefuse, refusedView},
	} {
		f := New(Settings{Self: election.ID{3}, Expect: 3, Voters: 5}, store.Founding{})
		fresh := freshOf(tt.sees...)
		for i := range fresh {
			fresh[i].Expect = 3
		}
		f.See(0, fresh)
		fx := f.Receive(0, election.ID{tt.from}, tt.word)
		require.Equal(t, tt.kind == wire.FoundAccept, fx.Save != nil, tt.name)
		if tt.kind == 0 {
			require.Empty(t, fx.Send, tt.name)
			continue
		}
		require.Len(t, fx.Send, 1, tt.name)
		require.Equal(t, tt.kind, fx.Send[0].Word.Kind, tt.name)
		require.Equal(t, tt.reason, fx.Send[0].Word.Reason, tt.name)
		require.Equal(t, election.ID{tt.from}, fx.Send[0].To, tt.name)
	}
}

// An attempt that is not answered in time, or whose founders have changed, is
// aborted; until then those that are silent are asked again and again.
func TestAnAttemptIsRepeatedThenAborted(t *testing.T) {
	f := founderOf(1, store.Founding{}, 1, 2, 3)
	at := time.Second
	require.Len(t, f.Tick(at).Send, 2)
	f.Receive(at, election.ID{2}, wordOf(wire.FoundAccept, 1, 1, 2, 3))
	require.Empty(t, f.Tick(at+foundResend-1))
	require.Len(t, f.Tick(at+foundResend).Send, 1, "only the silent one")
	require.Nil(t, f.Tick(at+foundPatience-1).Save)
	require.NotNil(t, f.Tick(at+foundPatience).Save)
	require.False(t, f.Bound())

	f = founderOf(1, store.Founding{}, 1, 2, 3)
	f.Tick(at)
	f.See(at, freshOf(1, 2))
	require.NotNil(t, f.Tick(at+1).Save)
	require.False(t, f.Bound())
}

// A founder is woken when it has something to do, and what it then does is done: it is
// not woken again at that moment.
func TestAFounderIsWokenWhenItsTimeHasCome(t *testing.T) {
	f := founderOf(2, store.Founding{}, 1, 2, 3)
	_, due := f.WakeAt()
	require.False(t, due, "the lowest proposes")
	f = founderOf(1, store.Founding{}, 1, 2)
	f.set.Expect = 3
	_, due = f.WakeAt()
	require.False(t, due, "one is missing")

	f = founderOf(1, store.Founding{}, 1, 2, 3)
	f.See(time.Second, freshOf(1, 2, 3, 4))
	f.See(2*time.Second, freshOf(1, 2, 3))
	for now, end := 2*time.Second, 2*time.Second+3*foundPatience; now < end; {
		at, due := f.WakeAt()
		require.True(t, due)
		require.Greater(t, at, now)
		require.Empty(t, f.Tick(at-1))
		fx := f.Tick(at)
		require.True(t, fx.Save != nil || len(fx.Send) > 0)
		now = at
	}
}
