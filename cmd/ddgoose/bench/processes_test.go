package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/cmd/ddgoose/flock"
)

// build makes the real ddgoose, and a folder for sockets.
func build(t *testing.T) (dir, binary string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "be")
	require.NoError(t, err)
	var b apitest.Binary
	t.Cleanup(func() { require.NoError(t, errors.Join(os.RemoveAll(dir), b.Remove())) })
	return dir, b.Path(t)
}

// calm are three agents whose step-downs do not fail because the machine is busy.
func calm(dir, binary string) flock.Options {
	return flock.Options{Binary: binary, Dir: filepath.Join(dir, "f"), Agents: 3, Lease: 2 * time.Second, Heartbeat: 100 * time.Millisecond}
}

// TestProcessesOfABenchOfElections compares flocks of real processes. What the
// ratios are is not a test's affair.
func TestProcessesOfABenchOfElections(t *testing.T) {
	dir, binary := build(t)
	r, err := Elections(t.Context(), ElectionsOptions{
		Flock:     flock.Options{Binary: binary, Dir: filepath.Join(dir, "f"), Agents: 3},
		Elections: 7, For: time.Second, Progress: func(Progress) {},
	})
	require.NoError(t, err)
	require.Empty(t, r.Impossible)
	require.Len(t, r.Flocks, 3)
	for i, n := range []int{1, 3, 7} {
		c := r.Flocks[i]
		require.Equal(t, n, c.Elections)
		require.Positive(t, c.Datagrams)
		require.Positive(t, c.Bytes)
	}
	require.Equal(t, []int{0, 0, 1}, r.Flocks[0].Geese)
	require.Equal(t, []int{1, 1, 1}, r.Flocks[1].Geese)
	require.Equal(t, []int{2, 2, 3}, r.Flocks[2].Geese)
	require.Positive(t, r.HeartbeatMS)
	require.NotNil(t, r.Ratios[0].Ratio)
	require.Positive(t, r.Lists)
}

// TestProcessesOfABenchOfStarts starts real processes. How fast they are is not a test's affair.
func TestProcessesOfABenchOfStarts(t *testing.T) {
	dir, binary := build(t)
	r, err := Start(t.Context(), StartOptions{
		Flock: flock.Options{Binary: binary, Dir: filepath.Join(dir, "f")},
		Sizes: []int{1, 3}, Starts: 2, Progress: func(Progress) {},
	})
	require.NoError(t, err)
	require.Empty(t, r.Impossible)
	require.Len(t, r.Flocks, 2)
	for i, n := range []int{1, 3} {
		require.Equal(t, n, r.Flocks[i].Agents)
		require.Equal(t, 2, r.Flocks[i].Time.N)
		require.Positive(t, r.Flocks[i].Time.Min)
	}
	require.Equal(t, 3, r.Agents)
	require.Positive(t, r.LeaseMS)
}

// TestProcessesOfABench measures a little of everything on real processes. How fast
// they are is not a test's affair.
func TestProcessesOfABench(t *testing.T) {
	dir, binary := build(t)
	var said []string
	r, err := Run(t.Context(), Options{
		Flock: calm(dir, binary),
		Idle:  time.Second, StepDowns: 2, Kills: 2, Steady: 100 * time.Millisecond, Pauses: 1, PauseFor: time.Second, Load: 1,
		Progress: func(p Progress) { said = append(said, p.What) },
	})
	require.NoError(t, err)
	require.Empty(t, r.Impossible)
	require.Equal(t, 2, r.Failover.N)
	require.Equal(t, 2, r.HandOff.N)
	require.Equal(t, 1, r.Pause.N)
	require.Positive(t, r.Failover.Min)
	require.Positive(t, r.Samples)
	require.Len(t, r.Idle.Agents, 3)
	for _, a := range r.Idle.Agents {
		require.Positive(t, a.RSSMB, a.Name)
		require.Positive(t, a.SentPS, a.Name)
		require.Positive(t, a.BytesInPS, a.Name)
	}
	require.Contains(t, said, "kill 2 of 2")
}

func TestProcessesOfGeeseThatChooseTheirLease(t *testing.T) {
	dir, binary := build(t)
	r, err := Run(t.Context(), Options{
		Flock: flock.Options{Binary: binary, Dir: filepath.Join(dir, "f"), Agents: 3, AutoLease: true, Warden: true},
		Kills: 1, Progress: func(Progress) {},
	})
	require.NoError(t, err)
	require.Empty(t, r.Impossible)
	require.True(t, r.AutoLease)
	require.GreaterOrEqual(t, r.Leases.Last, 100.0)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	require.Contains(t, string(text), `"auto_lease":true`)
	require.Contains(t, string(text), `"leases_ms":{"min":`)
}

// TestProcessesOfAGooseThatEndsOtherwise ends a goose in each way but kill, over a bad network.
func TestProcessesOfAGooseThatEndsOtherwise(t *testing.T) {
	dir, binary := build(t)
	for _, how := range Hows[1:] {
		r, err := Run(t.Context(), Options{
			Flock: flock.Options{Binary: binary, Dir: filepath.Join(dir, how), Agents: 3},
			How:   how, Kills: 1, Loss: 0.05, Delay: time.Millisecond, Progress: func(Progress) {},
		})
		require.NoError(t, err, how)
		require.Empty(t, r.Impossible)
		require.Equal(t, 1, r.Failover.N)
		require.Equal(t, "*: loss 5% delay 1ms", r.Netem)
	}
}

func TestProcessesOfAHandOverOnTheNetworkThatWasAskedFor(t *testing.T) {
	dir, binary := build(t)
	r, err := Run(t.Context(), Options{Flock: calm(dir, binary), StepDowns: 1, Delay: 50 * time.Millisecond, Progress: func(Progress) {}})
	require.NoError(t, err)
	require.Equal(t, "*: delay 50ms", r.Netem)
	require.GreaterOrEqual(t, r.HandOff.Min, 50.0, "the next goose is asked by a packet")
	require.Empty(t, r.How, "no goose was ended")
}

func TestProcessesOfAGooseThatEndsWithItsSuccessor(t *testing.T) {
	dir, binary := build(t)
	r, err := Run(t.Context(), Options{
		Flock: flock.Options{Binary: binary, Dir: filepath.Join(dir, "f"), Agents: 5},
		Kills: 1, Successor: true, Progress: func(Progress) {},
	})
	require.NoError(t, err)
	require.Empty(t, r.Impossible)
	require.Equal(t, 1, r.Failover.N)
}

func TestProcessesOfAnAgentThatIsAskedAndWatched(t *testing.T) {
	dir, binary := build(t)
	r, err := API(t.Context(), APIOptions{
		Flock:   calm(dir, binary),
		Clients: 2, For: 100 * time.Millisecond, Watchers: []int{1, 20}, Changes: 1, Progress: func(Progress) {},
	})
	require.NoError(t, err)
	require.Empty(t, r.Impossible)
	require.Len(t, r.Asked, 3)
	for _, q := range r.Asked {
		require.Positive(t, q.Latency.N, q.What)
	}
	require.Equal(t, 20, r.Watched[1].Watchers)
	require.Equal(t, 1, r.Watched[1].All.N)
	var b bytes.Buffer
	require.NoError(t, Text(&b, r))
	require.Contains(t, b.String(), askKept)
}
