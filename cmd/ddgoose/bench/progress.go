package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"duckduckgoose/cmd/ddgoose/flock"
)

// Progress says how far a bench is.
type Progress struct {
	What string  // what happens now
	Done float64 // the share of the time that is over
	Left time.Duration
	Over time.Duration // how much longer than expected the present step takes; 0: it does not
}

// part is a step of a bench, done once or several times.
type part struct {
	what  string
	times int
	each  time.Duration // a guess at first, then what it took
	begun int
	spent time.Duration // by the times that are over
}

// plan is the parts of a bench in their order.
type plan struct {
	mu    sync.Mutex // guards what follows, and calls of show
	show  func(Progress)
	parts []part
	now   int       // of parts
	since time.Time // when the newest time of that part began
}

// tellEvery is how often progress is told while nothing else happens.
const tellEvery = 200 * time.Millisecond

// follow reports progress until ctx ends; stop waits for the last report.
func (p *plan) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() {
		flock.Every(ctx, tellEvery, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.show(p.at(time.Now()))
		})
	})
	return func() {
		cancel()
		telling.Wait()
	}
}

// begin reports that a part begins, or begins again.
func (p *plan) begin(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.advance(what, now)
	p.show(p.at(now))
}

// advance ends the current part and improves the guess of its time.
func (p *plan) advance(what string, now time.Time) {
	if was := &p.parts[p.now]; was.begun > 0 {
		was.spent += now.Sub(p.since)
		was.each = was.spent / time.Duration(was.begun)
	}
	for p.parts[p.now].what != what {
		p.now++
	}
	p.parts[p.now].begun++
	p.since = now
}

// at returns the progress at a moment.
func (p *plan) at(now time.Time) Progress {
	var done, all time.Duration
	for i := range p.parts {
		q := &p.parts[i]
		done += q.spent
		all += max(q.spent, time.Duration(q.times)*q.each)
	}
	q := &p.parts[p.now]
	var over time.Duration
	if q.begun > 0 {
		took := now.Sub(p.since)
		done, over = done+min(took, q.each), max(0, took-q.each)
	}
	r := Progress{What: q.what, Left: all - done, Over: over}
	if q.times > 1 {
		r.What = fmt.Sprintf("%s %d of %d", q.what, q.begun, q.times)
	}
	if all > 0 {
		r.Done = float64(done) / float64(all)
	}
	return r
}
