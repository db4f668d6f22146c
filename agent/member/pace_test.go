package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// pacedFlock is three voters that choose their lease.
func pacedFlock(t *testing.T) (f *testFlock, g *testAgent) {
	f = newTestFlock(t)
	for range 3 {
		f.start(func(s *Settings) { s.Expect, s.AutoLease = 3, true })
	}
	g = f.voters(3)
	f.run(time.Second)
	require.Equal(t, election.Pace{Lease: testLease, Heartbeat: testHeartbeat}, g.node().Pace())
	return f, g
}

// rested has agents miss their turns for a while.
func (f *testFlock) rested(d time.Duration, agents ...*testAgent) {
	for _, a := range agents {
		a.paused = true
	}
	f.run(d)
	for _, a := range agents {
		a.paused = false
	}
	f.run(time.Second)
}

func TestALateLoopRaisesTheLease(t *testing.T) {
	for name, late := range map[string]func(g *testAgent) []*testAgent{
		"of the goose": func(g *testAgent) []*testAgent { return []*testAgent{g} },
		"of its voters": func(g *testAgent) (others []*testAgent) {
			for _, a := range g.f.agents {
				if a != g {
					others = append(others, a)
				}
			}
			return others
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, g := pacedFlock(t)
			term := g.node().Record().Term
			f.rested(250*time.Millisecond, late(g)...)
			require.Equal(t, g, f.goose(""))
			is := g.node().Pace()
			require.Greater(t, is.Lease, testLease)
			told := g.told(EventLease)
			require.NotEmpty(t, told)
			require.Equal(t, testLease, told[0].Was.Lease)
			require.Equal(t, is, told[len(told)-1].Pace)
			require.NotEmpty(t, told[0].Why)
			for _, a := range f.agents {
				require.Equal(t, is.Lease, a.span(), a.name)
			}

			// A successor keeps the lease; so does who leads after a failure the longer one.
			next := f.stepDown("", g.other())
			require.Equal(t, is.Lease, next.node().Pace().Lease)
			require.Nil(t, g.Default().pacer)
			next.crash()
			f.until(5*is.Lease, "another goose", func() bool { return f.leader("") != nil })
			f.run(time.Second)
			require.GreaterOrEqual(t, f.goose("").node().Pace().Lease, is.Lease)
			require.Greater(t, f.goose("").node().Record().Term, term)
		})
	}
}

func TestAVoterTellsTheGooseOfItsPauseOnce(t *testing.T) {
	f := flockOf(t, 3)
	v := f.duck()
	var told []time.Duration
	f.lost = func(from, _ *testAgent, m *wire.Message) bool {
		if from == v && m.Kind == election.HeartbeatAck && m.Pause > 0 {
			told = append(told, m.Pause)
		}
		return false
	}
	f.rested(200*time.Millisecond, v)
	require.Len(t, told, 1)
	require.GreaterOrEqual(t, told[0], 100*time.Millisecond)
	require.Less(t, told[0], 300*time.Millisecond)
	v.Default().pause = time.Hour
	f.run(time.Second)
	require.Equal(t, []time.Duration{told[0], unpausable}, told)
}

func TestAFixedLeaseStaysAsItIs(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	f.rested(250*time.Millisecond, g)
	require.Equal(t, testLease, g.node().Pace().Lease)
	require.Nil(t, g.Default().pacer)
}
