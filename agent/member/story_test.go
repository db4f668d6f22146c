package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

func TestAnAgentAloneFoundsAFlockAndIsItsGooseAtOnce(t *testing.T) {
	f := newTestFlock(t)
	a := f.start()
	f.until(10*time.Millisecond, "it is the goose", func() bool { return a.locals[""].view.Leased })
	require.Equal(t, a.set.FlockID, a.FlockID())
	require.Len(t, a.told(EventFoundsAlone), 1)
	require.EqualValues(t, 1, a.locals[""].view.Token)
}

func TestThoseThatJoinBecomeVoters(t *testing.T) {
	f := newTestFlock(t)
	f.start()
	f.start()
	f.start()
	require.Equal(t, "a", f.voters(3).name)
	for _, a := range f.agents {
		require.Equal(t, f.agents[0].FlockID(), a.saved.Bound)
	}
	f.agents[0].crash()
	g := f.goose("")
	require.NotEqual(t, "a", g.name)
	f.agents[0].begin()
	f.run(5 * time.Second)
	require.Equal(t, g.name, f.goose("").name)
}

func TestAFlockIsFoundedTogether(t *testing.T) {
	f := newTestFlock(t)
	for range 3 {
		f.start(func(s *Settings) { s.Expect = 3 })
	}
	g := f.goose("")
	require.EqualValues(t, 3, g.config("").N)
	require.Len(t, f.agents[0].told(EventFounded), 1, "the lowest id coordinates")
}

// Agents of the former version name no life. Agents of the next version promised their
// goose nothing, so none of these became a voter or showed the goose.
func TestRule11WhoKnowsOfNoLivesIsFollowedUntilItIsUpgraded(t *testing.T) {
	f := newTestFlock(t)
	f.start().old = true
	f.start()
	f.start()
	require.Equal(t, "a", f.voters(3).name)
	f.run(time.Second)
	for _, a := range f.agents {
		goose, _ := a.Default().Goose(f.now)
		require.Equal(t, f.agents[0].me, goose, "at %s", a.name)
	}
	f.agents[0].crash()
	f.agents[0].old = false
	f.agents[0].begin()
	g := f.goose("")
	f.run(5 * time.Second)

	duck := f.duck()
	frame := &wire.Frame{
		From: g.me, To: duck.me, Start: g.saved.Start, Life: g.set.Life, FlockID: g.FlockID(),
		Messages: []wire.Message{{Message: election.Message{Kind: election.Heartbeat, Header: g.Default().header(duck.me)}}},
	}
	heard := func(toLife, seq uint64) bool {
		before := duck.Default().Node().Promise()
		frame.Seq, frame.ToLife = seq, toLife
		msg := &frame.Messages[0]
		msg.Seq, msg.ToLife, msg.Round, msg.Promise = seq, toLife, seq, 2*testLease
		_, err := duck.Receive(f.now, frame, g.addr())
		require.NoError(t, err)
		return duck.Default().Node().Promise() != before
	}
	require.False(t, heard(0, 1<<40), "who can name a life must do so")
	require.True(t, heard(duck.set.Life, 1<<40+1))
}
