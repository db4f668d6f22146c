package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestAVoterThatDoesNotAnswerIsToldEverywhere(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.start("o", joining("10.0.0.1"), asObserver)
		f.allAlive()
		f.sleep(5 * time.Second)
		dead := f.goose()
		id := f.agents[dead].Status().ID
		f.crash(dead)
		f.sleep(4 * time.Second)
		for _, name := range f.others(dead) {
			s := f.agents[name].Status()
			require.Contains(t, strings.Join(s.Warnings, "\n"), "voter "+dead+" does not answer: 2 of 3 voters answer: one more failure ends service", name)
			require.Equal(t, 3, s.Alive, name)
			require.Equal(t, 3, len(s.Config.Voters))
			require.Contains(t, []string{api.StateSuspect, api.StateFailed}, f.member(name, id).State)
		}
		cut := f.ducks()[0]
		if cut == "o" {
			cut = f.ducks()[1]
		}
		require.NoError(t, f.agents[cut].faults.Set("*: cut", 0))
		f.sleep(4 * time.Second)
		s := f.agents[cut].Status()
		require.Contains(t, strings.Join(s.Warnings, "\n"), "no goose yet: waiting for 1 more of ")
		require.NotContains(t, strings.Join(s.Warnings, "\n"), "recover")
		f.sleep(6 * time.Minute)
		require.Contains(t, strings.Join(f.agents[cut].Status().Warnings, "\n"), "only if they are lost for good: ddgoose recover")
	})
}

func TestAMajorityThatAnswersAgainHasTimeToElect(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		for _, a := range f.agents {
			require.NoError(t, a.faults.Set("*: cut", 0))
		}
		f.sleep(30 * time.Second)
		for _, a := range f.agents {
			require.NoError(t, a.faults.Set("*: delay 50ms", 0)) // an election takes a while
		}
		names := f.live()
		f.until(20*time.Second, "a goose", func() bool {
			for _, name := range names {
				require.NotContains(t, strings.Join(f.agents[name].Status().Warnings, "\n"), "ddgoose why", name)
			}
			return f.agreed(names...)
		})
	})
}

func TestARestartOfTheWholeFlockAdvisesNothing(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		names := f.live()
		for _, name := range names {
			f.stop(name)
		}
		f.sleep(time.Minute)
		for _, name := range names {
			f.start(name, joining("10.0.0.1"))
		}
		quiet := func() {
			for _, name := range names {
				require.Empty(t, f.agents[name].Status().Warnings, name)
				for _, v := range f.agents[name].Status().Config.Voters {
					require.Len(t, v.Name, 1, "its name is on the disk")
				}
			}
		}
		f.until(5*time.Second, "a goose", func() bool {
			quiet()
			return f.agreed(names...)
		})
		for range 50 {
			f.sleep(100 * time.Millisecond)
			quiet()
		}
	})
}
