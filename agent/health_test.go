package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/member"
)

// says sets the result of an agent's check.
func (f *testFlock) says(name string, h member.Health, why string) {
	a := f.agents[name].Agent
	a.main.checked.now.Store(&wellness{h, why})
	a.tellHealth(context.Background(), a.main, wellness{h, why})
}

func TestTheGooseIsWhereTheWorkIsWell(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose := f.goose()
		for name := range f.agents {
			require.Nil(t, f.agents[name].Status().Well, "no check")
		}
		f.says(goose, member.Unwell, "the disk is full")
		f.until(5*time.Second, "another is the goose", func() bool { now := f.goose(); return now != "" && now != goose })
		require.False(t, *f.agents[goose].Status().Well)
		f.warns(3*time.Second, goose, "the check of this agent fails: the disk is full: it does not lead until the check passes")
		require.Len(t, f.reasons(goose, api.WhyUnwell), 1)
		second := f.goose()
		f.warns(10*time.Second, second, "the check of "+goose+" fails")

		for name := range f.agents {
			f.says(name, member.Unwell, "no power")
		}
		f.until(30*time.Second, "no goose", func() bool { return f.goose() == "" })
		f.until(10*time.Second, "why tells", func() bool {
			return strings.HasPrefix(strings.Join(f.reasons(goose, api.WhyUnwell), "; "), "its check fails: no power") &&
				strings.Contains(strings.Join(f.reasons(goose, api.WhyUnwell), "; "), "nobody may lead")
		})
		f.says(goose, member.Well, "")
		f.until(5*time.Second, "the one that is well leads", func() bool { return f.goose() == goose })
		require.True(t, *f.agents[goose].Status().Well)
	})
}

func TestAGooseWithoutWorkHandsOverToWhereWorkWaits(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose, other := f.goose(), f.ducks()[0]
		ready := func(name string) int {
			b := newBackend(f.agents[name].Agent)
			s, ms := b.Status(), b.Members()
			if idle, _ := api.GooseWithoutWork(&s, ms); idle != "" {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
		require.Equal(t, http.StatusOK, ready(goose), "nobody has work")
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		w, _ := f.lead(ctx, other, 0)
		f.until(20*time.Second, "it leads where its work is", func() bool { return f.goose() == other && w.running.Load() })
		require.True(t, f.agents[other].Status().Work)
		f.until(10*time.Second, "members show it", func() bool {
			for _, m := range f.agents[goose].Members() {
				if m.Name == other {
					return m.Work
				}
			}
			return false
		})
		require.Equal(t, http.StatusOK, ready(goose))
	})
}

func TestAnAgentWithACheckLeadsOnlyOnceItPasses(t *testing.T) {
	ill := httptest.NewServer(http.NotFoundHandler())
	defer ill.Close()
	c := checked{}
	require.Equal(t, wellness{}, c.wellness())
	c.check.Ask = ill.URL
	require.Equal(t, member.Unwell, c.wellness().health, "not asked yet")
}
