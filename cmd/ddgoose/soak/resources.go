package soak

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

// resourcesEvery is how often memory and goroutines are measured.
const resourcesEvery = 2 * time.Second

// Sample is the use of memory and goroutines of one process at one moment.
type Sample struct {
	At         time.Duration `json:"at_ns"`
	PID        int           `json:"pid"`
	RSS        float64       `json:"rss_mb"`
	Goroutines int           `json:"goroutines"`
}

// Leak is a process that used more and more.
type Leak struct {
	Agent string  `json:"agent"`
	What  string  `json:"what"`
	From  float64 `json:"from"` // median of the second quarter of its life
	To    float64 `json:"to"`   // of the last quarter
	// Over is how long the process lived.
	Over time.Duration `json:"over_ns"`
}

// resources records what the agents' processes use.
type resources struct {
	f *flock.Flock

	mu      sync.Mutex // guards samples
	samples map[string][]Sample
}

func (r *resources) follow(ctx context.Context, a *flock.Agent) {
	flock.Every(ctx, resourcesEvery, func() {
		if s, err := measure(ctx, a); err == nil { // an error means that it is dead or stopped
			r.mu.Lock()
			r.samples[a.Name] = append(r.samples[a.Name], s)
			r.mu.Unlock()
		}
	})
}

func measure(ctx context.Context, a *flock.Agent) (s Sample, err error) {
	s = Sample{At: boottime.Now(), PID: a.PID()}
	if _, s.RSS, err = a.Use(); err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, resourcesEvery)
	defer cancel()
	text, err := a.Client().Metrics(ctx)
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "ddgoose_goroutines "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			s.Goroutines = int(n)
			return s, err
		}
	}
	return s, fmt.Errorf("the metrics of %s tell no goroutines", a.Name)
}

const (
	// leakLife is how long a process must have run to be checked.
	leakLife = 5 * time.Minute
	// A process leaks if it grew by more than this share and by more than these
	// amounts.
	leakShare      = 1.3
	leakMB         = 4
	leakGoroutines = 20
)

// lives splits samples by process.
func lives(samples []Sample) (all [][]Sample) {
	for from := 0; from < len(samples); {
		to := from
		for to < len(samples) && samples[to].PID == samples[from].PID {
			to++
		}
		all = append(all, samples[from:to])
		from = to
	}
	return all
}

// leaks checks every process that ran long enough, and returns how many those were.
func leaks(agent string, samples []Sample) (found []Leak, judged int) {
	for _, life := range lives(samples) {
		over := life[len(life)-1].At - life[0].At
		if over < leakLife {
			continue
		}
		judged++
		quarter := len(life) / 4
		early, late := life[quarter:2*quarter], life[len(life)-quarter:]
		for _, kind := range []struct {
			what   string
			amount float64
			of     func(Sample) float64
		}{
			{"memory in MB", leakMB, func(s Sample) float64 { return s.RSS }},
			{"goroutines", leakGoroutines, func(s Sample) float64 { return float64(s.Goroutines) }},
		} {
			from, to := median(early, kind.of), median(late, kind.of)
			if to > leakShare*from && to > from+kind.amount {
				found = append(found, Leak{agent, kind.what, from, to, over})
			}
		}
	}
	return found, judged
}

func median(samples []Sample, of func(Sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
