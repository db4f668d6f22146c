package sim

import (
	"sync/atomic"

	"duckduckgoose/netem/schedule"
)

// Many runs n seeds from first on, on as many goroutines as workers, and gives
// the results to each in the order of seeds. It ends early when each says no.
func Many(first uint64, n, workers int, p schedule.Plan, each func(seed uint64, r Result) bool) {
	workers = max(1, workers)
	results := make(chan chan Result, 4*workers) // bounds how far the workers run ahead of each
	free := make(chan struct{}, workers)
	var stopped atomic.Bool
	go func() {
		defer close(results)
		for i := 0; i < n && !stopped.Load(); i++ {
			result := make(chan Result, 1)
			results <- result
			free <- struct{}{}
			go func() {
				r := Run(schedule.Drawn(first+uint64(i), p), nil)
				<-free
				result <- r
			}()
		}
	}()
	seed := first
	for result := range results {
		if r := <-result; !stopped.Load() && !each(seed, r) {
			stopped.Store(true) // what is under way ends by itself
		}
		seed++
	}
}
