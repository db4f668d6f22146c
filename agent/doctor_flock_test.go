package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// examine runs the doctor at an agent, while the promises are judged.
func (f *testFlock) examine(name string, d time.Duration) (found api.Doctor) {
	f.t.Helper()
	require.NoError(f.t, f.await(func() (err error) {
		found, err = f.agents[name].Doctor(context.Background(), d)
		return err
	}))
	return found
}

// path gives what was found of one direction.
func pathOf(t *testing.T, d api.Doctor, from, to string) api.Path {
	t.Helper()
	for _, p := range d.Paths {
		if p.From == from && p.To == to {
			return p
		}
	}
	require.FailNow(t, "no path", "%s to %s in %+v", from, to, d.Paths)
	return api.Path{}
}

// findings joins those of a kind, one a line.
func findings(d api.Doctor, kind string) string {
	var lines []string
	for _, f := range d.Findings {
		if f.Kind == kind {
			lines = append(lines, f.Text)
		}
	}
	return strings.Join(lines, "\n")
}

func (f *testFlock) withKeys(n byte) {
	f.keys = nil
	for i := range n {
		f.keys = append(f.keys, testKey(i))
	}
}

func testKey(n byte) []byte {
	k := make([]byte, 32)
	k[0] = n + 1
	return k
}

// foundApart starts n agents that found a flock together, each on a machine of its own.
func (f *testFlock) foundApart(n int) {
	f.t.Helper()
	for i := range n {
		f.start(nth(i), joining("10.0.0.1"), expecting(n), func(c *Config) {
			c.machine = func() (string, string) { return "host-" + c.Name, "boot-" + c.Name }
		})
	}
	f.settle(n)
	f.allAlive()
	f.sleep(2 * time.Second)
}

func TestDoctorFindsAHealthyFlockHealthy(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.withKeys(1)
		f.foundApart(5)
		d := f.examine("c", 2*time.Second)
		require.Empty(t, findings(d, api.FindingTrouble)+findings(d, api.FindingUnknown))
		require.Equal(t, api.VerdictHealthy, d.Verdict, d.Summary)
		require.Equal(t, api.Yes, d.CanElect)
		require.Equal(t, f.goose(), d.Goose)
		require.Len(t, d.Deaths, 5)
		for _, death := range d.Deaths {
			require.Equal(t, api.Yes, death.CanElect)
			require.Len(t, death.Successors, 4)
		}
		require.Len(t, d.Paths, 20)
		for _, p := range d.Paths {
			require.Equal(t, probeSmall+probeLarge, p.Sent)
			require.Zero(t, *p.Loss)
			require.Zero(t, *p.LargeLoss)
			require.Equal(t, api.StreamOK, p.Stream)
		}
		require.Len(t, d.Clocks, 10)
	})
}
