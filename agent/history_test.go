package agent

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/member"
)

// ended returns how each period ended, by token, as an agent knows it.
func (f *testFlock) ended(name string) map[uint64]string {
	all := map[uint64]string{}
	for _, p := range f.agents[name].History().Periods {
		all[p.Token] = p.Name + " " + p.Ended
	}
	return all
}

// TestHistoriesAgree forces changes of every kind, some while agents are away. In the
// end all agents must know the same tokens, names and causes.
func TestHistoriesAgree(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		want := map[uint64]string{}
		goose := func() (name string) {
			f.until(time.Minute, "all know a goose", func() bool {
				name = f.goose()
				return name != "" && f.agreed(f.live()...)
			})
			return name
		}
		var back func()
		kinds := []struct {
			ended string
			force func(name string)
		}{
			{api.EndedStepDown, func(name string) {
				require.NoError(t, f.await(func() error { return f.agents[name].StepDown(context.Background(), "") }))
			}},
			{api.EndedDied, func(name string) {
				f.crash(name)
				back = func() { f.start(name) }
			}},
			{api.EndedDied, func(name string) {
				f.cutPower(name, 0, 1)
				back = func() { f.start(name) }
			}},
			{api.EndedLeaseLost, func(name string) {
				f.cut([]string{name}, f.ducks())
				back = f.heal
			}},
			{api.EndedUnwell, func(name string) {
				f.says(name, member.Unwell, "the disk is full")
				back = func() { f.says(name, member.Well, "") }
			}},
			{api.EndedStepDown, func(name string) {
				f.stop(name)
				back = func() { f.start(name) }
			}},
		}
		rounds := 4
		if raced {
			rounds = 1
		}
		for range rounds {
			for _, kind := range kinds {
				name := goose()
				token := f.agents[name].Status().Token
				want[token] = name + " " + kind.ended
				back = func() {}
				kind.force(name)
				f.until(time.Minute, "another goose", func() bool {
					now := f.goose()
					return now != "" && f.agents[now].Status().Token > token
				})
				f.sleep(time.Second)
				back()
				f.sleep(time.Second)
			}
		}
		last := goose()
		want[f.agents[last].Status().Token] = last + " " + api.EndedRunning
		for name := range f.agents {
			f.until(5*time.Minute, name+" knows all", func() bool {
				for token, ended := range want {
					if f.ended(name)[token] != ended {
						return false
					}
				}
				return true
			})
		}
		for name := range f.agents {
			require.Equal(t, f.ended(last), f.ended(name), name)
			s := f.agents[name].Status()
			require.Equal(t, f.agents[name].History().Periods[0].From, *s.Since)
		}
	})
}

func TestAHistoryOutlivesItsAgent(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(1)
		f.sleep(2 * time.Second)
		was := f.agents["a"].History().Periods[0]
		require.Equal(t, api.EndedRunning, was.Ended)
		f.stop("a")
		a := f.start("a")
		f.until(10*time.Second, "it leads again", func() bool { return f.goose() == "a" })
		d := a.History()
		require.Len(t, d.Periods, 2)
		require.Equal(t, api.EndedStepDown, d.Periods[1].Ended)
		require.Equal(t, was.Token, d.Periods[1].Token)
		require.Equal(t, []api.Gap{{From: *d.Periods[1].To, To: &d.Periods[0].From}}, d.Gaps)
	})
}

func TestStatusShowsTheGoosesTags(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", func(c *Config) { c.Tags = map[string]string{"pg": "5432"} })
		f.until(10*time.Second, "a goose", func() bool { return f.goose() == "a" })
		f.start("b", joining("10.0.0.1"))
		f.until(10*time.Second, "b knows it", func() bool { return f.agreed("b") })
		for _, name := range []string{"a", "b"} {
			require.Equal(t, "5432", f.agents[name].Status().Goose.Tags["pg"], name)
		}
		f.reload("a", func(c *Config) { c.Tags = map[string]string{"pg": "5433"} })
		for _, name := range []string{"a", "b"} {
			f.until(10*time.Second, "the new tag", func() bool { return f.agents[name].Status().Goose.Tags["pg"] == "5433" })
		}
	})
}
