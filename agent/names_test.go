package agent

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// named starts an agent under another's name.
func (f *testFlock) named(as, name string, changes ...func(*Config)) *testAgent {
	f.t.Helper()
	return f.start(as, append(changes, func(c *Config) { c.Name = name })...)
}

// deaf cuts an agent off from another, which may not have started yet.
func (f *testFlock) deaf(name, to string) {
	f.t.Helper()
	require.NoError(f.t, f.agents[name].faults.Set(f.agent(to).addr.String()+": cut", 0))
}

// member returns how an agent lists another; the zero Member when it does not.
func (f *testFlock) member(at, id string) api.Member {
	for _, m := range f.agents[at].Members() {
		if m.ID == id {
			return m
		}
	}
	return api.Member{}
}

// noTrace requires that only the agent itself lists, counts or elects it.
func (f *testFlock) noTrace(of, id string) {
	f.t.Helper()
	for _, name := range f.live() {
		if name == of {
			continue
		}
		s, members := f.agents[name].Status(), f.agents[name].Members()
		require.LessOrEqual(f.t, s.Alive, len(members))
		require.Empty(f.t, f.member(name, id), "%s lists it", name)
		for _, v := range s.Config.Voters {
			require.NotEqual(f.t, id, v.ID, "%s knows it as a voter", name)
		}
	}
}

// knows reports whether an agent's memberlist counts n agents as alive, hidden ones
// included.
func (f *testFlock) knows(name string, n int) bool {
	got, err := ask(context.Background(), f.agents[name].Agent, func(l *life, answer func(int, error)) error {
		answer(l.gossip.NumMembers(), nil)
		return nil
	})
	require.NoError(f.t, err)
	return got == n
}

func TestARefusedAgentIsNeverListed(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(10 * time.Second)
		x := f.named("x", "b", joining("10.0.0.1"))
		id := x.Status().ID
		var refused error
		f.until(10*time.Second, "x is refused", func() bool {
			f.noTrace("x", id)
			select {
			case refused = <-x.ended:
				return true
			default:
				return false
			}
		})
		var taken *TakenError
		require.ErrorAs(t, refused, &taken)
		x.Agent = nil
		f.until(time.Second, "memberlist has dropped it", func() bool { return f.knows("a", 3) && f.knows("b", 3) && f.knows("c", 3) })
		for end := time.Now().Add(time.Minute); time.Now().Before(end); f.sleep(100 * time.Millisecond) {
			f.noTrace("x", id)
			for _, name := range f.live() {
				require.Equal(t, 3, f.agents[name].Status().Alive)
				require.Empty(t, f.agents[name].Status().Warnings)
			}
		}
	})
}

func TestARefusedAgentThatIsKilledIsNeverListed(t *testing.T) {
	for what, holderDies := range map[string]bool{"alone": false, "with the holder of its name": true} {
		t.Run(what, func(t *testing.T) {
			inFlock(t, func(t *testing.T, f *testFlock) {
				f.found(3)
				f.allAlive()
				f.sleep(10 * time.Second)
				f.deaf("b", "x") // so that x does not learn that it is refused
				x := f.named("x", "b", joining("10.0.0.1"))
				id := x.Status().ID
				f.until(2*time.Second, "a and c have heard of it", func() bool {
					f.noTrace("x", id)
					return f.knows("a", 4) && f.knows("c", 4)
				})
				f.start("d", joining("10.0.0.1")) // it hears of both at the same time
				f.until(2*time.Second, "d knows b", func() bool { return f.agents["d"].Status().Alive == 4 })
				f.noTrace("x", id)
				if holderDies {
					f.crash("b")
				}
				f.crash("x")
				for end := time.Now().Add(time.Minute); time.Now().Before(end); f.sleep(100 * time.Millisecond) {
					f.noTrace("x", id)
				}
				require.True(t, f.knows("a", len(f.live())), "it counts as dead")
			})
		})
	}
}

func TestAnAgentThatKeepsItsNameIsListed(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(10 * time.Second)
		f.deaf("b", "x")
		x := f.named("x", "b", joining("10.0.0.1"))
		for _, name := range []string{"a", "b", "c"} {
			f.until(2*nameWindow, name+" lists both", func() bool { return f.member(name, x.Status().ID).State == api.StateAlive })
			f.warns(time.Second, "b", "another agent has the name b too")
		}
		f.heal()
		f.settle(3)
	})
}

func TestAMemberWhoseNameWasTakenStaysFailed(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(10 * time.Second)
		id := f.agents["b"].Status().ID
		f.crash("b")
		f.until(time.Minute, "b counts as dead", func() bool { return f.member("a", id).State == api.StateFailed })
		x := f.named("x", "b", joining("10.0.0.1"))
		f.sleep(2 * nameWindow)
		b := f.start("b", joining("10.0.0.1"))
		failed := func() {
			require.NotEqual(t, api.StateAlive, f.member("x", id).State)
			for _, name := range []string{"a", "c"} {
				require.Equal(t, api.StateFailed, f.member(name, id).State, name)
				require.Equal(t, api.StateAlive, f.member(name, x.Status().ID).State, name)
			}
		}
		f.until(10*time.Second, "it is refused", func() bool {
			failed()
			return len(b.ended) > 0
		})
		require.ErrorContains(t, f.wait("b"), "name b is taken")
		for range 60 {
			f.sleep(100 * time.Millisecond)
			failed()
		}
	})
}
