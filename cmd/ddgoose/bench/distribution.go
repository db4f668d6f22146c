package bench

import (
	"slices"
	"time"
)

// Distribution sums up samples.
type Distribution struct {
	N      int     `json:"n"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// distributionOf sums up by nearest rank; nil for no samples.
func distributionOf(samples []time.Duration) *Distribution {
	if len(samples) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(samples))
	at := func(percent int) float64 {
		rank := (percent*len(s) + 99) / 100
		return float64(s[max(rank-1, 0)]) / float64(time.Millisecond)
	}
	return &Distribution{N: len(s), Min: at(0), Median: at(50), P90: at(90), P95: at(95), P99: at(99), Max: at(100)}
}
