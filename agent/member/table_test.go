package member

import (
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
	g := f.goose("")
	local := d.locals["x"]
	rec := d.node().Record()
	msg := election.Message{Kind: election.Reject, Header: d.Default().header(d.me), Config: rec.Config}
	msg.From, msg.Term = g.me, rec.Term+1
	msg.Generation = election.Generation{Number: 1, Tag: 7}
	msg.Config.ConfigID = election.ConfigID{Version: 9}
	msg.ConfigID = msg.Config.ConfigID
	d.Default().step(&msg)
	require.Len(t, d.elections, 1)
	require.True(t, local.closed)
	require.Len(t, d.told(EventElectionEnds), 1)
	require.True(t, d.table.waiting())
	require.Equal(t, msg.Generation, d.table.entries[0].Record.Generation)
	require.GreaterOrEqual(t, d.table.entries[0].Record.PromiseMax, testLease)
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
