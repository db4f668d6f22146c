// Package meters counts and measures what an agent does, and shows it to
// Prometheus.
//
// [Counters] and [Meters] are written by the agent as it runs. A scrape reads
// them through a [Collector], from another goroutine, and never waits for the
// agent's loop. [PathLoss] counts lost heartbeats and belongs to the loop alone.
package meters

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Meters is what the loop measures for the metrics, besides what status shows.
type Meters struct {
	saves prometheus.Histogram

	gooseUntil  atomic.Int64 // boot clock: when the last known goose stops counting
	gooseless   atomic.Int64 // how long no goose was known before that, in ns
	reported    atomic.Int64 // the highest value shown so far: a counter never falls
	promiseEnd  atomic.Int64 // boot clock: end of this agent's own promise; 0: none was made
	promisedAt  atomic.Int64 // boot clock: start of a leader's majority of promises; 0: not a leader
	healthScore atomic.Int64 // memberlist's score, 0: well
	paths       atomic.Pointer[[]Path]
}

// Path is what the metrics show of the path to one agent.
type Path struct {
	Name, ID string
	RTT      time.Duration // 0: unknown
	Loss     float64       // 0 to 1; NaN: unknown
}

// New returns meters that start at now, on the boot clock.
func New(now time.Duration) *Meters {
	m := &Meters{saves: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ddgoose_save_duration_seconds", Help: "how long it took to make the state durable",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	})}
	m.gooseUntil.Store(int64(now))
	return m
}

// NoteSave notes how long a save took.
func (m *Meters) NoteSave(d time.Duration) { m.saves.Observe(d.Seconds()) }

// NoteGoose notes whether a goose is known now, and until when it counts if
// nothing more is heard. The loop calls it at every step.
func (m *Meters) NoteGoose(now time.Duration, known bool, until time.Duration) {
	was := time.Duration(m.gooseUntil.Load())
	switch {
	case known:
		if now > was {
			m.gooseless.Add(int64(now - was))
		}
		m.gooseUntil.Store(int64(until))
	case was > now:
		m.gooseUntil.Store(int64(now))
	}
}

// NotePromise notes when this agent's own promise ends, and since when a leader
// has the promises of a majority; 0: it is none.
func (m *Meters) NotePromise(end, promisedAt time.Duration) {
	m.promiseEnd.Store(int64(end))
	m.promisedAt.Store(int64(promisedAt))
}

// PromiseEnd returns the end of this agent's own promise on the boot clock; 0:
// none was made.
func (m *Meters) PromiseEnd() time.Duration { return time.Duration(m.promiseEnd.Load()) }

// NoteHealth notes memberlist's score of this agent's health.
func (m *Meters) NoteHealth(score int) { m.healthScore.Store(int64(score)) }

// NotePaths notes the paths to the other agents. The list belongs to the meters
// from then on.
func (m *Meters) NotePaths(list []Path) { m.paths.Store(&list) }

// leaderless returns for how long in all no goose was known. It reads the sum
// first: an update by the loop in between is then shown late, never twice.
func (m *Meters) leaderless(now time.Duration) time.Duration {
	d := m.gooseless.Load()
	d += max(0, int64(now)-m.gooseUntil.Load())
	for shown := m.reported.Load(); d > shown && !m.reported.CompareAndSwap(shown, d); {
		shown = m.reported.Load()
	}
	return time.Duration(m.reported.Load())
}
