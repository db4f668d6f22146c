package flock

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoTwoFlocksGetTheSamePort(t *testing.T) {
	seen := map[int]bool{}
	for range 40 {
		ports, err := freePorts(100)
		require.NoError(t, err)
		for _, port := range ports {
			require.False(t, seen[port], "of 22,768, 4,000 drawn blindly would meet")
			seen[port] = true
		}
	}
}
