package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
