package flock

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoTwoFlocksGetTheSamePort(t *testing.T) {
	seen := map[int]bool{}
	for range 10 {
		ports, err := freePorts(100)
		require.NoError(t, err)
		for _, port := range ports {
			require.False(t, seen[port], "1,000 of 22,768 drawn blindly would meet")
			seen[port] = true
		}
	}
}
