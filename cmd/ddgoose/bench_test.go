package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBenchFlagsSayWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string]float64{"20%": 0.2, "0%": 0, "0.5%": 0.005} {
		got, err := parseLoss(text)
		require.NoError(t, err)
		require.InDelta(t, want, got, 1e-9)
	}
	for _, text := range []string{"", "20", "%", "91%", "-1%", "NaN%"} {
		_, err := parseLoss(text)
		require.ErrorContains(t, err, "want a share from 0% to 90%", text)
	}
	sizes, err := scaleSizes("3,50")
	require.NoError(t, err)
	require.Equal(t, []int{3, 50}, sizes)
	for text, want := range map[string]string{"2": "want 3 or more agents", "3,": "want numbers from 1 to 5000", "9999": "want numbers from 1 to 5000"} {
		_, err := scaleSizes(text)
		require.ErrorContains(t, err, want)
	}
}
