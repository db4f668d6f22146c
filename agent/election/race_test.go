//go:build race

package election

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestModelCheckSharesNothing is all of the model check that the race detector sees: this package has
// no goroutines, only the search has. At full bounds it runs without it.
func TestModelCheckSharesNothing(t *testing.T) {
	r := mcRun(t, &mcUntimed{configs: []Config{configOf("a", "b")}, terms: 2, versions: 2}, 100_000_000)
	require.Empty(t, r.violation)
	require.True(t, r.complete)
}
