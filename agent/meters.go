package agent

import (
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// meters is what the loop notes for the metrics beyond what status shows. A
// scrape reads it from another goroutine and never waits for the loop.
type meters struct {
	saves prometheus.Histogram

	gooseUntil atomic.Int64 // boot clock: the goose that was last known counts until then
	gooseless  atomic.Int64 // how long none was known before that, in ns
	told       atomic.Int64 // the most of it that was told: a counter never falls
	promiseEnd atomic.Int64 // boot clock of this agent's own promise's end; 0: none was made
	promisedAt atomic.Int64 // boot clock: since when a majority's promise counts at a leader, 0 at others
	health     atomic.Int64 // memberlist's score, 0: well
	paths      atomic.Pointer[[]pathMetric]
}

func newMeters(now time.Duration) *meters {
	m := &meters{saves: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ddgoose_save_duration_seconds", Help: "how long it took to make the state durable",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	})}
	m.gooseUntil.Store(int64(now))
	return m
}

// noteGoose books whether a goose is known now, and until when time alone
// leaves it so. The loop calls it at every step.
func (m *meters) noteGoose(now time.Duration, known bool, until time.Duration) {
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

// leaderless is for how long no goose was known in all. The sum is read before
// its end: what the loop moves meanwhile is missed for once, never told twice.
func (m *meters) leaderless(now time.Duration) time.Duration {
	d := m.gooseless.Load()
	d += max(0, int64(now)-m.gooseUntil.Load())
	for told := m.told.Load(); d > told; told = m.told.Load() {
		if m.told.CompareAndSwap(told, d) {
			return time.Duration(d)
		}
	}
	return time.Duration(m.told.Load())
}

// meter books what a step changed.
func (l *life) meter(now time.Duration, v *member.View) {
	l.meters.noteGoose(now, v.Leased || !v.Goose.IsZero(), v.Lapses)
	n := l.node()
	if n == nil {
		return
	}
	l.meters.promiseEnd.Store(int64(n.Promise().End))
	l.meters.promisedAt.Store(int64(n.PromisedAt(now)))
}

const (
	// pathsMost bounds the agents whose paths are counted, and the series of metrics.
	pathsMost = 16
	// pathWindow is over how long loss is counted, and pathBeats over how many
	// heartbeats at least.
	pathWindow = 10 * time.Second
	pathBeats  = 100
)

// pathMetric is what metrics tell of the path to one agent.
type pathMetric struct {
	name, id string
	rtt      time.Duration // 0: unknown
	loss     float64       // 0 to 1; NaN: unknown
}

// pathMeter counts what came of heartbeats: at a leader those sent and those
// that were acknowledged, at others the leader's rounds and those that came.
type pathMeter struct {
	id             election.ID // zero: free
	expected, came uint64      // in this window
	term, round    uint64      // the newest heartbeat that came
	loss           float64     // of the last window; NaN: unknown
}

// pathMeters are the loop's own: a heartbeat costs it a look through a short
// list, and no lock.
type pathMeters struct {
	all   [pathsMost]pathMeter
	since time.Duration
}

// of gives the meter of an agent, nil when there is no room.
func (p *pathMeters) of(id election.ID) *pathMeter {
	var free *pathMeter
	for i := range p.all {
		switch m := &p.all[i]; {
		case m.id == id:
			return m
		case free == nil && m.id.IsZero():
			free = m
		}
	}
	if free != nil {
		*free = pathMeter{id: id, loss: math.NaN()}
	}
	return free
}

// sent books a heartbeat that goes out.
func (p *pathMeters) sent(m *election.Message) {
	if m.Kind != election.Heartbeat {
		return
	}
	if at := p.of(m.To); at != nil {
		at.expected++
	}
}

// received books a heartbeat or its acknowledgement. A heartbeat that comes
// behind a newer one is as good as lost.
func (p *pathMeters) received(m *election.Message) {
	if m.Kind != election.Heartbeat && m.Kind != election.HeartbeatAck {
		return
	}
	at := p.of(m.From)
	switch {
	case at == nil:
	case m.Kind == election.HeartbeatAck:
		at.came++
	case m.Term != at.term:
		at.term, at.round = m.Term, m.Round
		at.expected++
		at.came++
	case m.Round > at.round:
		at.expected += m.Round - at.round
		at.came++
		at.round = m.Round
	}
}

// roll ends a window when its time has come.
func (p *pathMeters) roll(now, heartbeat time.Duration) {
	if now-p.since < max(pathWindow, pathBeats*heartbeat) {
		return
	}
	p.since = now
	for i := range p.all {
		m := &p.all[i]
		if m.expected == 0 {
			*m = pathMeter{}
			continue
		}
		m.loss = 1 - min(1, float64(m.came)/float64(m.expected))
		m.expected, m.came = 0, 0
	}
}

// loss gives an agent's, NaN while unknown.
func (p *pathMeters) loss(id election.ID) float64 {
	for i := range p.all {
		if p.all[i].id == id {
			return p.all[i].loss
		}
	}
	return math.NaN()
}

// contacts are what a leader knows of the agents in view.
func (l *life) contacts() []election.Contact {
	if l.node() == nil {
		return nil
	}
	return l.node().Contacts(nil)
}

// postMeters shows the metrics what only the loop knows.
func (l *life) postMeters(now time.Duration) {
	l.paths.roll(now, l.cfg.Heartbeat)
	l.meters.health.Store(int64(l.gossip.list.GetHealthScore()))
	rtt := map[election.ID]time.Duration{}
	for _, p := range l.peers {
		if p.State == api.StateAlive {
			rtt[p.ID] = p.RTT
		}
	}
	var list []pathMetric
	for _, c := range l.contacts() {
		m := pathMetric{name: l.nameOf(c.ID), id: c.ID.String(), rtt: c.RTT, loss: l.paths.loss(c.ID)}
		if m.rtt == 0 {
			m.rtt = rtt[c.ID]
		}
		list = append(list, m)
	}
	l.meters.paths.Store(&list)
}

// label makes a word from the network one that Prometheus takes.
func label(s string) string {
	if q := strconv.QuoteToASCII(s); q != `"`+s+`"` {
		return q[1 : len(q)-1]
	}
	return s
}
