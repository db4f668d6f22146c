package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

func TestTheHashOfAListIsThatOfItsNamesInAnyOrder(t *testing.T) {
	require.Zero(t, contestsHash(nil))
	names := []string{"b", "a"}
	require.Equal(t, contestsHash([]string{"a", "b"}), contestsHash(names))
	require.Equal(t, []string{"b", "a"}, names, "the list stays as it was")
	require.NotEqual(t, contestsHash([]string{"ab", "c"}), contestsHash([]string{"a", "bc"}))
	require.NotZero(t, contestsHash([]string{"a"}))
}

func TestContestantsAreAskedInTurnAndOneThatIsSilentKeepsNobodyWaiting(t *testing.T) {
	f := flockOf(t, 3, "x")
	for i := range 3 {
		f.start(contesting("x", string(rune('p'+i))))
	}
	a, silent := f.agents[0], f.agents[3]
	f.deaf = func(_, to *testAgent) bool { return to == silent }
	f.run(20 * time.Second)
	for _, p := range a.peers {
		does, known := a.doesContest(&p, "x")
		require.Equal(t, p.ID != silent.me, known, "agent %s", p.Meta.Name)
		require.Equal(t, known, does)
	}
	asked := 0
	for _, id := range a.asked {
		if id == silent.me {
			asked++
		}
	}
	require.GreaterOrEqual(t, asked, 5, "it is asked again")
	p := a.peers[4]
	does, known := a.doesContest(&p, "q")
	require.True(t, does && known)
	does, known = a.doesContest(&p, "p")
	require.True(t, !does && known)
	p.Meta.Elections++
	_, known = a.doesContest(&p, "q")
	require.False(t, known, "its list has changed since")
	p.Meta.Elections = 0
	does, known = a.doesContest(&p, "q")
	require.True(t, !does && known, "it contests none")
	f.deaf = nil
	f.until(20*time.Second, "the last is known", func() bool {
		_, known := a.doesContest(&a.peers[3], "x")
		return known
	})
	before := len(a.asked)
	f.run(5 * time.Second)
	require.Len(t, a.asked, before, "then nobody is asked")
}

func TestAListThatIsNotTheOneThatGossipHashesIsNotTaken(t *testing.T) {
	f := flockOf(t, 3, "x")
	b := f.start(contesting("x", "y"))
	a := f.agents[0]
	f.until(10*time.Second, "the list is known", func() bool { return len(a.contestants.of[b.me].names) == 2 })
	b.Member.contestsHash++ // as in the moment of a change
	b.TellGossip(b.Meta())
	f.run(5 * time.Second)
	require.NotEqual(t, b.Meta().Elections, a.contestants.of[b.me].hash)
}

func TestTheTurnGoesRoundInACircle(t *testing.T) {
	id := func(i byte) election.ID { return election.ID{i} }
	require.True(t, isAfter(id(4), id(3), id(5)))
	require.False(t, isAfter(id(5), id(3), id(4)))
	require.True(t, isAfter(id(5), id(3), id(1)))
	require.False(t, isAfter(id(3), id(3), id(5)), "the last one comes last")
	require.True(t, isAfter(id(1), id(3), id(3)))
	require.True(t, isAfter(id(1), id(9), id(2)))
}
