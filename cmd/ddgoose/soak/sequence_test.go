package soak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem/check"
)

func answered(at time.Duration, agent string, token uint64) check.Event {
	return check.Event{At: at, Since: at, Kind: check.Answered, Agent: agent, Flock: "f", Token: token}
}

func TestSequencePutsEventsInOrder(t *testing.T) {
	q := newSequence(time.Hour)
	q.push(answered(time.Hour+3*time.Second, "b", 2))
	q.push(answered(time.Hour+1*time.Second, "a", 1))
	q.finish(time.Hour + 4*time.Second)
	require.Empty(t, q.found(), "token 1 came before token 2, whatever was heard first")

	q = newSequence(0)
	q.push(answered(1*time.Second, "b", 2))
	q.push(answered(3*time.Second, "a", 1))
	q.finish(4 * time.Second)
	require.Len(t, q.found(), 1)
}

func TestSequenceWaitsTicksNotTime(t *testing.T) {
	q := newSequence(0)
	q.tick(time.Second)
	q.tick(time.Hour) // this process was stalled
	q.push(answered(2*time.Second, "b", 2))
	q.push(answered(1500*time.Millisecond, "a", 1))
	for i := range sequenceTicks {
		seen, late, _ := q.counts()
		require.Zero(t, late)
		if i < sequenceTicks-2 {
			require.Zero(t, seen)
		}
		q.tick(time.Hour + time.Duration(i+1)*sequenceTick)
	}
	seen, _, periods := q.counts()
	require.Equal(t, 2, seen)
	require.Equal(t, 2, periods)
	require.Empty(t, q.found())

	q.push(answered(time.Minute, "c", 1))
	_, late, _ := q.counts()
	require.Equal(t, 1, late, "what comes too late is counted, not judged")
}

func TestSequenceKnowsWhoseATokenIs(t *testing.T) {
	q := newSequence(0)
	handed := check.Event{At: time.Second, Kind: check.HandedOut, Flock: "f", Token: 7, Until: 2 * time.Second, Holder: "w"}
	q.push(handed)
	q.push(check.Event{At: 1100 * time.Millisecond, Kind: check.Led, Agent: "b", Flock: "f", Token: 7})
	q.push(answered(1500*time.Millisecond, "a", 8))
	q.finish(3 * time.Second)
	require.Len(t, q.found(), 1)
	require.Contains(t, q.found()[0].Text, "b is the goose of token 7")
}
