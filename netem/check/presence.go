package check

import (
	"fmt"
	"slices"
	"time"
)

// presence is when readers saw a goose, and when there had to be one (P4).
type presence struct {
	told  []told
	since time.Duration // since when there is no goose, while there is none
	ever  bool
	gaps  []time.Duration
	total time.Duration

	owed     bool
	owedFrom time.Duration
	bound    time.Duration
	late     bool // reported
}

type told struct {
	agent string
	until time.Duration
}

// end returns the time until which somebody sees a goose.
func (p *presence) end() (end time.Duration) {
	for _, t := range p.told {
		end = max(end, t.until)
	}
	return end
}

// advance moves to now, and returns a violation if a goose is overdue.
func (p *presence) advance(now time.Duration) *Violation {
	if len(p.told) > 0 {
		if end := p.end(); end <= now {
			p.told, p.since = p.told[:0], end
		}
	}
	if !p.owed || p.late || len(p.told) > 0 {
		return nil
	}
	from := max(p.since, p.owedFrom)
	if now-from <= p.bound {
		return nil
	}
	p.late = true
	return &Violation{"P4", now, fmt.Sprintf("no goose since %v, and one was due within %v from %v on", p.since, p.bound, from)}
}

func (p *presence) covered(agent string, now, until time.Duration) {
	if len(p.told) == 0 {
		if p.ever {
			p.gaps = append(p.gaps, now-p.since)
			p.total += now - p.since
		}
		p.ever, p.late = true, false
	}
	for i := range p.told {
		if p.told[i].agent == agent {
			p.told[i].until = until
			return
		}
	}
	p.told = append(p.told, told{agent, until})
}

func (p *presence) uncovered(agent string, now time.Duration) {
	before := len(p.told)
	p.told = slices.DeleteFunc(p.told, func(t told) bool { return t.agent == agent })
	if before > 0 && len(p.told) == 0 {
		p.since = now
	}
}

func (p *presence) due(now, bound time.Duration) {
	if !p.owed {
		p.owed, p.owedFrom, p.late = true, now, false
	}
	p.bound = bound
}

func (p *presence) excuse() { p.owed, p.late = false, false }

// Bound is what the time to the next goose depends on (P4).
type Bound struct {
	Lease     time.Duration // the largest promised
	Heartbeat time.Duration // the longest
	RTT       time.Duration // the longest
	Wait      time.Duration // of those that have just restarted (rule 13)
}

// Within returns the bound for a number of voters: the wait, then two leases, the
// stagger of the voters' campaigns, five round trips and a heartbeat.
func (b Bound) Within(voters int) time.Duration {
	step := max(5*time.Millisecond, b.RTT*5/2)
	return 2*b.Lease + step*time.Duration(voters) + step/4 + 5*b.RTT + b.Heartbeat + b.Wait
}
