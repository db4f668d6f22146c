package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestScenarios runs every scenario with several seeds of its dice and clocks.
func TestScenarios(t *testing.T) {
	seeds := uint64(budget(3, 1))
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			if raceEnabled && s.Settings.For > 3*time.Minute {
				t.Skip("long, and run without the race detector")
			}
			require.NotEmpty(t, s.About)
			require.NotEmpty(t, s.Settings.Ops)
			for seed := range seeds {
				r := s.Run(seed)
				require.NoError(t, r.Err, "%s", r.Report("ddgoose sim --scenario "+s.Name))
			}
		})
	}
}
