package soak

import (
	"cmp"
	"slices"
	"time"
)

// Gap is a time without a goose.
type Gap struct {
	From  time.Duration `json:"from_ns"`
	To    time.Duration `json:"to_ns"`
	Old   string        `json:"old"`
	New   string        `json:"new"`   // "": nobody until the end
	Token uint64        `json:"token"` // the new goose's
	Cause string        `json:"cause"`
	// Failover says that the new goose has another token.
	Failover bool `json:"failover"`
}

// Lasts is how long there was no goose.
func (g *Gap) Lasts() time.Duration { return g.To - g.From }

// The causes of gaps that no fault explains.
const (
	noCause    = "no fault near"
	byStall    = "machine stalled"
	elsewhere  = " of others"
	ofTheGoose = " of the goose"
)

// sampleHole is the longest pause between two answers of one goose that means nothing.
const sampleHole = pollGoose + 30*time.Millisecond

// joined merges periods that are separate only because of the pauses between requests.
func joined(periods []GoosePeriod) (all []GoosePeriod) {
	for _, r := range periods {
		if n := len(all); n > 0 && all[n-1].Agent == r.Agent && all[n-1].Token == r.Token && r.From-all[n-1].To <= sampleHole {
			all[n-1].To = max(all[n-1].To, r.To)
			continue
		}
		all = append(all, r)
	}
	return all
}

// gapsOf returns the times without a goose between the periods, which are in order, and
// after the last one, each with its most likely cause.
func gapsOf(periods []GoosePeriod, struck []*Struck, stalls []Stall, lease, until time.Duration) (gaps []Gap) {
	if len(periods) == 0 {
		return nil
	}
	last := periods[0]
	for _, r := range periods[1:] {
		if r.From > last.To {
			g := Gap{From: last.To, To: r.From, Old: last.Agent, New: r.Agent, Token: r.Token, Failover: r.Token != last.Token}
			g.Cause = causeOf(&g, struck, stalls, lease)
			gaps = append(gaps, g)
		}
		if r.To > last.To {
			last = r
		}
	}
	if until > last.To+sampleHole {
		g := Gap{From: last.To, To: until, Old: last.Agent}
		g.Cause = causeOf(&g, struck, stalls, lease)
		gaps = append(gaps, g)
	}
	return gaps
}

// causeOf returns the fault that was injected last before the goose was lost: one on
// the goose before one on all agents, before one on others.
func causeOf(g *Gap, struck []*Struck, stalls []Stall, lease time.Duration) string {
	// The goose may be lost up to two leases after the fault: one until its majority
	// counts as lost, one until its lease has run out.
	from := g.From - 2*lease - time.Second
	type candidate struct {
		rank int
		at   time.Duration
		text string
	}
	var all []candidate
	for _, s := range struck {
		if s.Skipped != "" || s.Kind == "pause-writer" || s.Kind == "kill-writer" || s.From > g.From+sampleHole || s.To < from {
			continue
		}
		switch {
		case s.Agent == g.Old:
			all = append(all, candidate{2, s.From, s.Kind + ofTheGoose})
		case s.Agent == "":
			all = append(all, candidate{1, s.From, s.Kind})
		default:
			all = append(all, candidate{0, s.From, s.Kind + elsewhere})
		}
	}
	if len(all) == 0 {
		for _, s := range stalls {
			if s.From <= g.From+sampleHole && s.To >= from {
				return byStall
			}
		}
		return noCause
	}
	best := slices.MaxFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.at, b.at))
	})
	return best.text
}

// Distribution summarises times, in milliseconds.
type Distribution struct {
	N      int     `json:"n"`
	Median float64 `json:"median_ms"`
	P90    float64 `json:"p90_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
	Sum    float64 `json:"sum_ms"`
}

// distributionOf summarises times by nearest rank.
func distributionOf(times []time.Duration) Distribution {
	if len(times) == 0 {
		return Distribution{}
	}
	sorted := slices.Sorted(slices.Values(times))
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	at := func(percent int) float64 { return ms(sorted[max((percent*len(sorted)+99)/100-1, 0)]) }
	d := Distribution{N: len(sorted), Median: at(50), P90: at(90), P99: at(99), Max: at(100)}
	for _, t := range sorted {
		d.Sum += ms(t)
	}
	return d
}

// ByCause has the gaps of one cause.
type ByCause struct {
	Cause     string       `json:"cause"`
	Failovers int          `json:"failovers"`
	Times     Distribution `json:"times"`
}

// byCause groups gaps by cause, the longest total first.
func byCause(gaps []Gap) (all []ByCause) {
	times := map[string][]time.Duration{}
	failovers := map[string]int{}
	for i := range gaps {
		g := &gaps[i]
		times[g.Cause] = append(times[g.Cause], g.Lasts())
		if g.Failover {
			failovers[g.Cause]++
		}
	}
	for cause, t := range times {
		all = append(all, ByCause{cause, failovers[cause], distributionOf(t)})
	}
	slices.SortFunc(all, func(a, b ByCause) int {
		return cmp.Or(cmp.Compare(b.Times.Sum, a.Times.Sum), cmp.Compare(a.Cause, b.Cause))
	})
	return all
}
