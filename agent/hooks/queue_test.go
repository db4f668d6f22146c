package hooks

import (
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func event(kind Kind, seq uint64) Event { return Event{Kind: kind, Seq: seq} }

func about(id, was, state string, seq uint64) Event {
	return Event{Kind: Member, Seq: seq, Was: was, Member: &api.Member{ID: id, State: state}}
}

// told empties a queue.
func told(q *Queue) (events []Event) {
	for e, ok := q.Next(); ok; e, ok = q.Next() {
		events = append(events, e)
	}
	return events
}

func TestNewestEventOfASubjectReplacesOlderOnesAndCountsThem(t *testing.T) {
	var q Queue
	require.False(t, q.Put(event(Goose, 1)))
	require.False(t, q.Put(event(Change, 2)))
	require.True(t, q.Put(event(Duck, 3)), "goose and duck are one subject")
	require.True(t, q.Put(event(Change, 4)))
	require.True(t, q.Put(event(Goose, 5)))
	require.Equal(t, []Event{
		{Kind: Goose, Seq: 5, Skipped: 2}, // in its place still
		{Kind: Change, Seq: 4, Skipped: 1},
	}, told(&q))
	require.Empty(t, told(&q))
	q.Put(event(Duck, 6))
	require.Equal(t, []Event{event(Duck, 6)}, told(&q), "what was told is forgotten")
}

func TestEachMemberIsASubjectAndKeepsWhatTheHooksSawLast(t *testing.T) {
	var q Queue
	q.Put(about("x", "alive", "failed", 1))
	q.Put(about("y", "", "alive", 2))
	q.Put(about("x", "failed", "left", 3))
	got := told(&q)
	require.Len(t, got, 2)
	require.Equal(t, "left", got[0].Member.State)
	require.Equal(t, "alive", got[0].Was)
	require.Equal(t, 1, got[0].Skipped)
	require.Equal(t, "y", got[1].Member.ID)
	require.Zero(t, got[1].Skipped)
}

func TestNothingThatChangesAllTheTimeKeepsAnotherWaiting(t *testing.T) {
	var q Queue
	q.Put(event(Duck, 1))
	q.Put(event(Change, 2))
	last := uint64(1)
	for seq := uint64(3); seq < 30; seq += 2 {
		q.Put(event(Duck, seq))
		q.Put(event(Change, seq+1))
		e, ok := q.Next()
		require.True(t, ok)
		if e.Kind == Change {
			require.LessOrEqual(t, seq-last, uint64(4), "every other one")
			last = seq
		}
	}
	require.Greater(t, last, uint64(25))
}

func TestAnEventForSomeReplacedByOneForAllIsForAll(t *testing.T) {
	a, b := Hook{Duck, "a"}, Hook{Duck, "b"}
	for _, c := range []struct{ older, newer, want []Hook }{
		{nil, []Hook{a}, nil},
		{[]Hook{a}, nil, nil},
		{[]Hook{a}, []Hook{b}, []Hook{a, b}},
	} {
		var q Queue
		q.Put(Event{Kind: Duck, only: c.older})
		q.Put(Event{Kind: Duck, only: c.newer})
		require.Equal(t, c.want, told(&q)[0].only)
	}
}

func TestAtTheEndOnlyTheRoleIsTold(t *testing.T) {
	var q Queue
	for i, kind := range []Kind{Change, Goose} {
		q.Put(event(kind, uint64(i)))
	}
	q.Put(about("x", "", "alive", 7))
	q.KeepRole()
	require.Equal(t, []Event{event(Goose, 1)}, told(&q))
}
