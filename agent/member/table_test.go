package member

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

func TestAnElectionBeginsEverywhereOnceAMajorityHasItsTable(t *testing.T) {
	f := flockOf(t, 3)
	d := f.duck()
	d.crash()
	d.set.Elections = []string{"x"}
	d.begin()
	f.until(20*time.Second, "x begins", func() bool {
		for _, a := range f.agents {
			if a.Named("x") == nil {
				return false
			}
		}
		return true
	})
	require.Equal(t, d.name, f.goose("x").name, "only it contests x")
	require.Empty(t, d.Missing())
	for _, a := range f.agents {
		require.Len(t, a.told(EventElectionBegins), 1)
		require.True(t, a.saved.Elections[1].Started)
	}
}

func TestATableIsLearntBeforeItsConfigIsTaken(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	f.deaf = func(from, to *testAgent) bool { return to == g && from != g }
	g.set.Elections = []string{"x"}
	g.Member.set.Elections, g.contestsHash = g.set.Elections, contestsHash(g.set.Elections)
	g.table.lookedAt = nil
	g.LookNow()
	g.fed = true
	f.run(2 * time.Second)
	d := f.duck()
	require.NotEmpty(t, d.asked, "the one that showed the config is asked")
	require.Zero(t, d.config("").Table, "and the config waits")
	require.Nil(t, g.Named("x"), "no majority has the table")
	f.deaf = nil
	f.until(20*time.Second, "x begins", func() bool { return g.Named("x") != nil && d.Named("x") != nil })
	require.Equal(t, g.table.digest, d.table.digest)
}

func TestATableOfAnotherGenerationIsAnother(t *testing.T) {
	f := flockOf(t, 3, "x")
	d := f.duck()
	local := d.locals["x"]
	msg := d.hearRecovery(f.goose(""))
	require.Len(t, d.elections, 1)
	require.True(t, local.closed)
	require.Len(t, d.told(EventElectionEnds), 1)
	require.True(t, d.table.waiting())
	require.Equal(t, msg.Generation, d.table.entries[0].Record.Generation)
	require.GreaterOrEqual(t, d.table.entries[0].Record.PromiseMax, testLease)
}

// hearRecovery has an agent see a higher generation.
func (a *testAgent) hearRecovery(from *testAgent) election.Message {
	rec := a.node().Record()
	msg := election.Message{Kind: election.Reject, Header: a.Default().header(a.me), Config: rec.Config}
	msg.From, msg.Term = from.me, rec.Term+1
	msg.Generation = election.Generation{Number: 1, Tag: 7}
	msg.Config.ConfigID = election.ConfigID{Version: 9}
	msg.ConfigID = msg.Config.ConfigID
	a.Default().step(&msg)
	return msg
}

// A goose that does not know of the recovery holds a lease by the promises of before.
func TestAnElectionThatIsFoundedAgainKeepsItsPromises(t *testing.T) {
	f := newTestFlock(t)
	for range 3 {
		f.start(contesting("x", "y"), leavesWills, func(s *Settings) { s.Expect = 3 })
	}
	f.voters(3)
	f.until(time.Minute, "x", func() bool { return f.leader("x") != nil && f.leader("x").config("x").N == 3 })
	f.run(time.Second)
	g := f.goose("x")
	g.Named("x").step(election.Pace{Lease: 3 * time.Second, Heartbeat: testHeartbeat})
	g.fed = true
	f.run(time.Second)
	d := g.other()
	err, done := g.stepDown("x", nil, false)
	require.False(t, *done)
	for a, from := range map[*testAgent]*testAgent{d: g, g: d} {
		a.hearRecovery(from)
		a.startElections()
		require.GreaterOrEqual(t, a.Named("x").node.WaitUntil(), f.now+3*time.Second, a.name)
		require.Empty(t, a.wills["x"])
	}
	require.True(t, *done)
	require.Error(t, *err)
}

// A disk has room for so many.
func TestAFlockHasABoundedNumberOfElections(t *testing.T) {
	f := flockOf(t, 1)
	g := f.goose("")
	for i := range store.MaxElections + 5 {
		g.table.wanted = append(g.table.wanted, wantedElection{fmt.Sprintf("x%03d", i), f.now})
	}
	g.foundElections(f.now, nil)
	g.fed = true
	f.run(100 * time.Millisecond)
	require.Len(t, g.elections, store.MaxElections)
	require.NotEmpty(t, g.told(EventTooManyElections))
	require.Empty(t, g.told(EventFoundingRefused))
	f.run(wantedFor)
	g.foundElections(f.now, nil)
	require.Empty(t, g.table.wanted, "they are forgotten")
}

func TestOthersWaitSoThatTheFirstInLineLeadsANewElection(t *testing.T) {
	f := flockOf(t, 3)
	for _, a := range f.agents {
		a.crash()
		a.set.Elections = []string{"x"}
	}
	f.run(2 * time.Second)
	for _, a := range f.agents {
		a.begin()
	}
	waits := 0
	f.until(30*time.Second, "x has a goose", func() bool {
		for _, a := range f.agents {
			if e := a.Named("x"); e != nil && e.notBefore > f.now {
				waits++
				require.True(t, e.busy)
				require.NotEqual(t, election.Candidate, e.node.Role())
			}
		}
		l := f.agents
		return l[0].Named("x") != nil && l[1].Named("x") != nil && l[2].Named("x") != nil && f.goose("x") != nil
	})
	require.Positive(t, waits)
}

func TestAnswersThatAreNoTable(t *testing.T) {
	for _, entries := range [][]TableEntry{
		{{Name: ""}}, {{Name: "UPPER"}}, {{Name: "x"}, {Name: "x"}}, make([]TableEntry, store.MaxElections),
	} {
		_, err := (&TableAnswer{Entries: entries}).read()
		require.Error(t, err)
	}
}
