package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// preferring gives an agent priority 200 and lets it take over.
func preferring(after time.Duration) func(*Config) {
	return func(c *Config) {
		withPriority(200)(c)
		c.Preempt, c.PreemptAfter = true, after
	}
}

// reload changes a running agent's configuration.
func (f *testFlock) reload(name string, changes ...func(*Config)) {
	f.t.Helper()
	cfg := f.config(f.agents[name])
	for _, change := range changes {
		change(&cfg)
	}
	_, err := f.agents[name].Reload(context.Background(), cfg)
	require.NoError(f.t, err)
}

// reasons returns the texts of one kind in an agent's explanation.
func (f *testFlock) reasons(name, kind string) (texts []string) {
	f.t.Helper()
	w, err := f.agents[name].Why(context.Background())
	require.NoError(f.t, err)
	for _, r := range w.Reasons {
		if r.Kind == kind {
			texts = append(texts, r.Text)
		}
	}
	return texts
}

func TestAHigherPriorityTakesOverWhenItHasBeenSteadyForAMinute(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		top := f.ducks()[1]
		f.crash(top)
		f.sleep(2 * time.Second)
		f.start(top, preferring(0))
		f.until(20*time.Second, "it is back", func() bool { return f.agents[top].Status().Alive == 3 && f.agreed(top) })
		back := time.Now()
		old := f.goose()
		w, _ := f.lead(context.Background(), old, 3*time.Second)
		f.lead(context.Background(), top, 0) // else the goose would stay where the work is
		f.until(time.Second, "both have work", func() bool { return w.running.Load() && f.agents[top].Status().Work })
		f.sleep(time.Second) // the goose has heard of it
		f.until(20*time.Second, "why tells of it at the goose", func() bool { return len(f.reasons(old, api.WhyPreempted)) == 1 })
		require.Regexp(t, "^"+top+` has a higher priority \(200\) and asks to take over: it takes over in (1m0s|\d+(\.\d)?s), once it has been a steady voter for 1m0s$`, f.reasons(old, api.WhyPreempted)[0])
		require.Equal(t, []string{"its priority is higher (200, and " + old + " has 100) and it asks to take over: " + old + " hands over once this agent has been a steady voter for 1m0s"},
			f.reasons(top, api.WhyPreempts))

		f.warns(time.Second, old, top+" (priority 200) takes over from this goose once it has been a steady voter for 1m0s (ddgoose why tells when, ddgoose freeze prevents it)")
		f.warns(time.Second, top, "this agent (priority 200) takes over from "+old+" (priority 100) once it has been a steady voter for 1m0s")

		f.until(70*time.Second, "work is stopped first", func() bool { return w.cause.Load() != nil })
		require.Equal(t, old, f.goose())
		require.ErrorIs(t, w.ended(t), ErrSteppedDown)
		require.InDelta(t, time.Minute.Seconds(), time.Since(back).Seconds(), 10)
		f.until(3500*time.Millisecond, "it has taken over", func() bool { return f.goose() == top })
		require.False(t, w.running.Load())
		f.settle(3)
		token := f.agents[top].Status().Token
		f.sleep(10 * time.Second)
		require.Equal(t, token, f.agents[top].Status().Token)
		require.Empty(t, f.reasons(top, api.WhyPreempted))
		for _, name := range f.live() {
			require.NotContains(t, strings.Join(f.agents[name].Status().Warnings, "\n"), "take", name)
		}
		require.EqualValues(t, 1, f.agents[old].Status().Counters["preemptions"])
	})
}

func TestAHigherPriorityAloneTakesNothingOver(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose, top := f.goose(), f.ducks()[0]
		f.reload(top, preferring(5*time.Second), func(c *Config) { c.Preempt = false })
		f.until(time.Minute, "the config has it", func() bool { return f.agents[top].Status().Priority == 200 })
		token := f.agents[goose].Status().Token
		f.sleep(30 * time.Second)
		require.Equal(t, token, f.agents[goose].Status().Token, "off by default")
		require.Empty(t, f.reasons(goose, api.WhyPreempted))
		require.Empty(t, f.agents[goose].Status().Warnings)
		require.Empty(t, f.agents[top].Status().Warnings)

		f.reload(top, preferring(5*time.Second)) // as after a SIGHUP
		f.until(20*time.Second, "it has taken over", func() bool { return f.goose() == top })
	})
}

// An agent that cannot win is asked once, and then not again for five minutes.
func TestOneThatFailsToTakeOverIsNotAskedAgainForFiveMinutes(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		goose, top := f.goose(), f.ducks()[0]
		preemptions := func() uint64 { return f.agents[goose].Status().Counters["preemptions"] }
		others := f.ducks()[1:]
		f.reload(top, preferring(5*time.Second))
		// Before the cut: gossip may need minutes to find its way around it.
		f.until(4*time.Second, "the config has it", func() bool { return f.agents[top].Status().Priority == 200 })
		f.cut([]string{top}, others) // it hears the goose, and no majority
		f.until(2*time.Minute, "it is asked", func() bool { return preemptions() == 1 })
		asked := time.Now()
		f.until(10*time.Second, "another is the goose, or the same again", func() bool { return f.goose() != "" && f.agreed(others...) })
		require.NotEqual(t, top, f.goose())
		f.heal()
		if f.goose() != goose {
			require.NoError(t, f.await(func() error { return f.agents[f.goose()].StepDown(context.Background(), goose) }))
		}
		f.until(10*time.Second, "the goose of before", func() bool { return f.goose() == goose && f.agreed(f.live()...) })
		f.sleep(20 * time.Second)
		require.Equal(t, goose, f.goose())
		require.Regexp(t, top+` has a higher priority \(200\) and asks to take over; it was asked and did not, and is asked again in \d+m\d+s`, f.reasons(goose, api.WhyPreempted)[0])
		f.warns(time.Second, goose, top+" (priority 200) was asked to take over from this goose, and did not: it is asked again within 5m0s (ddgoose why)")
		if raced {
			return // five minutes are long there
		}
		f.sleep(4*time.Minute + 50*time.Second - time.Since(asked))
		require.EqualValues(t, 1, preemptions())
		f.until(20*time.Second, "it has taken over", func() bool { return f.goose() == top })
		require.InDelta(t, 5*time.Minute, time.Since(asked), float64(2*time.Second))
		require.EqualValues(t, 2, preemptions())
	})
}
