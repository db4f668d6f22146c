package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/cmd/ddgoose/flock"
)

// TestProcessesOfABench measures a little of everything on real processes. How fast
// they are is not a test's affair.
func TestProcessesOfABench(t *testing.T) {
	dir, err := os.MkdirTemp("", "be")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	binary := filepath.Join(dir, "ddgoose")
	out, err := exec.Command("go", "build", "-o", binary, "duckduckgoose/cmd/ddgoose").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var said []string
	r, err := Run(t.Context(), Options{
		Flock: flock.Options{Binary: binary, Dir: filepath.Join(dir, "f"), Agents: 3},
		Idle:  time.Second, StepDowns: 2, Kills: 2, Steady: 100 * time.Millisecond, Pauses: 1, PauseFor: time.Second, Load: 1,
		Progress: func(what string) { said = append(said, what) },
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
