package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

// led counts the elections besides the default one that an agent leads.
func (a *testAgent) led() (n int) {
	for _, e := range a.elections[1:] {
		if _, self := e.Goose(a.f.now); self {
			n++
		}
	}
	return n
}

func TestElectionsAreSpreadEvenlyAfterAWhile(t *testing.T) {
	f := flockOf(t, 3, "u", "v", "w", "x", "y", "z")
	busiest, working := f.agents[0], "w"
	for _, name := range []string{"u", "v", "w", "x", "y", "z"} {
		if f.goose(name) != busiest {
			f.stepDown(name, busiest)
		}
	}
	require.Equal(t, 6, busiest.led())
	busiest.attach(working)
	busiest.events = nil
	f.run(unevenFor - 2*time.Second)
	require.Empty(t, busiest.told(EventMoves), "not at once")
	f.until(time.Minute, "spread", func() bool {
		for _, a := range f.agents {
			if a.led() != 2 {
				return false
			}
		}
		return true
	})
	require.Len(t, busiest.told(EventMoves), 4)
	for _, a := range f.agents {
		for _, e := range a.told(EventMoves) {
			require.NotEqual(t, working, e.Election, "those without work move first")
		}
	}
}

func TestAFrozenFlockSpreadsNothing(t *testing.T) {
	f := flockOf(t, 3, "x", "y", "z")
	for _, name := range []string{"x", "y", "z"} {
		if f.goose(name).name != "a" {
			f.stepDown(name, f.agents[0])
		}
	}
	for _, a := range f.agents {
		a.TakeFreeze(FreezeNotice{Stamp: 9, Left: time.Hour})
		a.events = nil
	}
	f.run(30 * time.Second)
	for _, a := range f.agents {
		require.Empty(t, a.told(EventMoves))
	}
}

// An agent that does not contest an election leads it while its only contestant, which
// came later than the voters, cannot vote.
func TestAnElectionIsTakenCareOfUntilItsContestantVotes(t *testing.T) {
	f := flockOf(t, 3)
	late := f.start(contesting("x"))
	f.until(time.Minute, "x begins", func() bool { return late.Named("x") != nil })
	f.run(careAfter*testLease + 2*time.Second)
	for _, a := range f.agents[:3] {
		if l := a.locals["x"]; l != nil {
			require.Zero(t, l.lease, "nothing is to be done for it: its contestant is no voter of the flock")
		}
	}
	f.duck() // the flock goes on
	gone := f.agents[1]
	if f.goose("") == gone {
		gone = f.agents[2]
	}
	gone.crash()
	f.until(3*time.Minute, "the contestant votes, and leads", func() bool {
		l := late.locals["x"]
		return l.lease.Until > f.now
	})
	require.Equal(t, late.name, f.goose("x").name)
	for _, a := range f.agents {
		if a != late && a.up {
			f.until(time.Minute, "nobody else leads it", func() bool { return a.Named("x").node.Role() == election.Follower })
		}
	}
}
