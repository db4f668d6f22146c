package sim

import (
	"sync"

	"duckduckgoose/netem/schedule"
)

// Many runs n seeds from first on, on as many goroutines as workers, and gives
// the results to each in the order of seeds. It ends early when each says no.
func Many(first uint64, n, workers int, p schedule.Plan, each func(seed uint64, r Result) bool) {
	if n <= 0 {
		return
	}
	workers = max(1, min(workers, n))
	type job struct {
		seed uint64
		done chan Result
	}
	jobs := make(chan job)
	order := make(chan job, 4*workers) // bounds how far the workers run ahead of each
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for j := range jobs {
				j.done <- Run(schedule.Drawn(j.seed, p), nil)
			}
		})
	}
	running.Go(func() {
		defer close(order)
		defer close(jobs)
		for i := range n {
			j := job{first + uint64(i), make(chan Result, 1)}
			select {
			case order <- j:
			case <-stop:
				return
			}
			select {
			case jobs <- j:
			case <-stop:
				j.done <- Result{}
				return
			}
		}
	})
	for j := range order {
		if !each(j.seed, <-j.done) {
			close(stop)
			for range order { // what is under way ends by itself
			}
			break
		}
	}
	running.Wait()
}
