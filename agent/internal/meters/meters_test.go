package meters

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

func TestALeaderlessTimeNeverFalls(t *testing.T) {
	m := New(0)
	require.Equal(t, 3*time.Second, m.leaderless(3*time.Second))
	m.NoteGoose(4*time.Second, true, 5*time.Second)
	require.Equal(t, 4*time.Second, m.leaderless(5*time.Second))
	require.Equal(t, 6*time.Second, m.leaderless(7*time.Second), "a loop that hangs changes nothing")
	m.NoteGoose(8*time.Second, true, 9*time.Second)
	require.Equal(t, 7*time.Second, m.leaderless(8*time.Second))
	m.NoteGoose(8500*time.Millisecond, false, 0)
	require.Equal(t, 7500*time.Millisecond, m.leaderless(9*time.Second))
}

func TestHeartbeatsOfOneAgentAreOnePath(t *testing.T) {
	var p PathLoss
	id := func(n int) election.ID { return election.ID{1, byte(n)} }
	for n := range 2 * maxPaths {
		p.Sent(&election.Message{Kind: election.Heartbeat, Header: election.Header{To: id(n)}})
	}
	require.Nil(t, p.of(id(maxPaths)), "there is no more room")
	p.Roll(time.Hour, time.Millisecond)
	require.EqualValues(t, 1, p.Loss(id(0)))
	p.Roll(2*time.Hour, time.Millisecond)
	require.NotNil(t, p.of(id(maxPaths)), "who was silent makes room")
}

func TestTheHeartbeatsPathIsMeteredWithoutGarbage(t *testing.T) {
	var p PathLoss
	var c Counters
	m := election.Message{Kind: election.Heartbeat, Header: election.Header{To: election.ID{1}, From: election.ID{2}}, Round: 1}
	frame := wire.Frame{Messages: []wire.Message{{Message: m}}}
	meter := New(0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		m.Round++
		p.Sent(&m)
		p.Received(&m)
		c.Traffic.Count(Sent, &frame, 100)
		meter.NoteGoose(1, true, 2)
	}))
}
