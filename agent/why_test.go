package agent

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// why makes an agent explain itself, and checks the promises meanwhile.
func (f *testFlock) why(name string) (w api.Why) {
	f.t.Helper()
	require.NoError(f.t, f.await(func() (err error) {
		w, err = f.agents[name].Why(context.Background())
		return err
	}))
	return w
}

// texts returns all reasons of a kind, with their remedies.
func texts(w api.Why, kind string) string {
	var b strings.Builder
	for _, r := range w.Reasons {
		if r.Kind == kind {
			fmt.Fprintf(&b, "%s > %s\n", r.Text, r.Remedy)
		}
	}
	return b.String()
}

// reason returns the first reason of a kind.
func reason(t *testing.T, w api.Why, kind string) api.WhyReason {
	t.Helper()
	for _, r := range w.Reasons {
		if r.Kind == kind {
			return r
		}
	}
	require.FailNow(t, "no such reason", "%s in %+v", kind, w)
	return api.WhyReason{}
}

func TestGooseAndDucksTellWhy(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		goose, duck := f.goose(), f.ducks()[0]
		w := f.why(goose)
		require.Equal(t, api.RoleGoose, w.Role)
		require.Equal(t, "3 of 3 voters keep a promise to it, and 2 are needed", reason(t, w, api.WhyLease).Text)
		require.Len(t, w.Reasons, 1)
		for _, v := range w.Voters {
			if v.Name != goose {
				require.Equal(t, goose, v.PromisedTo)
				require.InDelta(t, 450, *v.Promised, 50)
				require.Less(t, *v.Heard, 60.)
			}
		}
		w = f.why(duck)
		require.Equal(t, goose, w.Goose)
		require.Contains(t, reason(t, w, api.WhyFollows).Text, "it has promised "+goose+" to elect nobody else for ")
		require.Equal(t, 3, w.Reachable)
	})
}

func TestTheSurvivorOfThreeNamesWhoIsMissing(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		left := f.ducks()[0]
		lost := f.others(left)
		for _, name := range lost {
			f.crash(name)
		}
		f.sleep(3 * time.Second)
		w := f.why(left) // gossip may not have noticed yet, but the missing answers show
		require.Equal(t, "there is no goose: 1 of 3 voters answer, and 2 are needed", w.Summary)
		require.Contains(t, texts(w, api.WhyNoMajority), "its last datagram came 3")
		f.sleep(time.Minute)
		w = f.why(left)
		require.Contains(t, texts(w, api.WhyNoMajority), "gossip counts it as failed")
		require.Contains(t, texts(w, api.WhyNoMajority), "> start "+strings.Join(lost, ", ")+" again")
	})
}

// Gossip is slowest when most agents have died at once: no agent is left to confirm a
// suspicion. Until gossip knows, why must not blame a network that is well.
func TestAsLongAsGossipCountsTheDeadAliveTheyMayJustHaveDied(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		left := f.ducks()[0]
		for _, name := range f.others(left) {
			f.crash(name)
		}
		f.sleep(3 * time.Second) // it has asked for votes, and nobody has answered
		seen := 0
		for alive := true; alive; f.sleep(time.Second) {
			alive = false
			for line := range strings.Lines(texts(f.why(left), api.WhyNoMajority)) {
				if !strings.Contains(line, "gossip still counts it as alive") {
					continue
				}
				alive = true
				seen++
				require.NotContains(t, line, "check UDP", line)
			}
		}
		require.Positive(t, seen)
	})
}

func TestVotersTellWhomTheyHavePromised(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		long := func(c *Config) { c.Heartbeat, c.Lease = 500*time.Millisecond, 5*time.Second }
		for i := range 3 {
			f.start(nth(i), joining("10.0.0.1"), expecting(3), long)
		}
		f.settle(3)
		f.allAlive()
		goose, ducks := f.goose(), f.ducks()
		// An agent restarts and is cut off, so it knows no goose.
		f.crash(ducks[0])
		require.NoError(t, f.agents[goose].faults.Set(f.agents[ducks[0]].addr.String()+": cut", 0))
		f.start(ducks[0], joining("10.0.0.1"), expecting(3), long)
		f.until(10*time.Second, "gossip", func() bool { return f.agents[ducks[0]].Status().Alive >= 2 })
		w := f.why(ducks[0])
		require.Empty(t, w.Goose)
		require.Contains(t, reason(t, w, api.WhyRestarted).Text, "it has restarted, and neither votes nor campaigns for ")
		require.Contains(t, reason(t, w, api.WhyPromised).Text, ducks[1]+" has promised "+goose+" to elect nobody else for ")
	})
}

func TestAFoundingAndADeathAreExplained(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", joining("10.0.0.1"), expecting(2), contesting("backup"))
		f.sleep(time.Second)
		w, err := f.in("a", "backup").Why(context.Background())
		require.NoError(t, err)
		require.Equal(t, `election "backup": a has no goose: the election has not begun at this agent`, w.Summary)
		require.Contains(t, reason(t, f.why("a"), api.WhyFounding).Text, "waiting for 1 more of 2: have a")
		f.start("b", joining("10.0.0.2", "10.0.0.9"))
		f.sleep(time.Second)
		require.Equal(t, "it waits for an answer of an agent at 10.0.0.9", reason(t, f.why("b"), api.WhyJoining).Text)
		require.NoError(t, f.agents["a"].Die(0))
		require.Equal(t, "ddgoose simulate revive", reason(t, f.why("a"), api.WhyDead).Remedy)
		require.NoError(t, f.agents["a"].Revive())
	})
}

func TestALoopThatHangsIsExplainedWithoutIt(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		duck := f.ducks()[0]
		release := make(chan struct{})
		require.NoError(t, f.agents[duck].do(context.Background(), func(*life) error {
			<-release
			return nil
		}))
		w := f.why(duck)
		require.Contains(t, reason(t, w, api.WhyLoop).Text, "has not run for 1s")
		require.InDelta(t, 1000, w.Stale, 20)
		require.Len(t, w.Voters, 3)
		close(release)
		f.until(time.Second, "it turns again", func() bool { return f.agents[duck].Healthy() == nil })
		require.Zero(t, f.why(duck).Stale)
	})
}

// Each of two elections is explained by its own goose, promises and candidates.
func TestWhyTellsTheElectionsApart(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "backup")
		f.start("d", joining("10.0.0.1")) // it is not given the election
		f.until(time.Minute, "d knows the election, and who leads it", func() bool { return f.statusOf("d", "backup").Goose != nil })
		main := f.goose()
		if f.gooseOf("backup") == main { // one goose each
			require.NoError(t, f.await(func() error { return f.in(main, "backup").StepDown(context.Background(), "") }))
		}
		f.until(time.Minute, "another goose", func() bool { g := f.gooseOf("backup"); return g != "" && g != main && f.agreedOn("backup") })
		backup := f.gooseOf("backup")

		explain := func(agent, name string) (w api.Why) {
			t.Helper()
			require.NoError(t, f.await(func() (err error) {
				w, err = f.in(agent, name).Why(context.Background())
				return err
			}))
			return w
		}
		w := explain(main, "")
		require.Equal(t, api.RoleGoose, w.Role)
		require.Empty(t, w.Election)
		w = explain(main, "backup")
		require.Equal(t, "backup", w.Election)
		require.Equal(t, backup, w.Goose)
		require.Contains(t, w.Summary, `election "backup": `+main+" is a duck: "+backup+" is the goose")
		require.Equal(t, "ddgoose step-down --election backup on the goose hands over", reason(t, w, api.WhyFollows).Remedy)
		require.Contains(t, reason(t, w, api.WhyFollows).Text, "it has promised "+backup+" to elect nobody else for ")
		w = explain(backup, "backup")
		require.Contains(t, w.Summary, `election "backup": `+backup+" is the goose: it won term ")
		w = explain("d", "backup")
		if f.agents["d"].Status().Voter {
			require.Equal(t, "start it with --election backup to change that", reason(t, w, api.WhyUncontested).Remedy)
		}

		// Cut off, a duck has no majority in either.
		left := ""
		for _, name := range f.others(main) {
			if name != backup && name != "d" {
				left = name
			}
		}
		for _, name := range f.others(left) {
			f.crash(name)
		}
		f.sleep(3 * time.Second)
		w = explain(left, "backup")
		require.Contains(t, w.Summary, `election "backup": there is no goose: 1 of `)
		require.Contains(t, texts(w, api.WhyNoMajority), "does not answer")
		_, err := f.agents[left].Election("bakcup")
		require.ErrorIs(t, err, api.ErrNotFound)
	})
}

// A loop that stood still answers before it has seen that the time of the goose is up.
func TestWhyCountsFromTheLastHeartbeatOfACalmElection(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x")
		f.sleep(10 * time.Second)
		name := f.others(f.gooseOf("x"))[0]
		var gooseless time.Duration
		f.until(time.Minute, "calm", func() (is bool) {
			require.NoError(t, f.await(func() error {
				return f.agents[name].onLoop(context.Background(), func(l *life) error {
					if is = l.member.Named("x").Calm(l.now()); is {
						time.Sleep(2 * l.cfg.Lease)
						gooseless = l.facts(l.localOf("x"), l.now()).Gooseless
					}
					return nil
				})
			}))
			return is
		})
		require.InDelta(t, time.Second, gooseless, float64(100*time.Millisecond))
	})
}
