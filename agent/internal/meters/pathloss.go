package meters

import (
	"math"
	"time"

	"duckduckgoose/agent/election"
)

const (
	// maxPaths bounds the agents whose paths are counted, and so the series of metrics.
	maxPaths = 16
	// Loss is counted over lossWindow, and over lossBeats heartbeats at least.
	lossWindow = 10 * time.Second
	lossBeats  = 100
)

// PathLoss counts lost heartbeats by agent. Only one goroutine may use it, so a
// heartbeat takes no lock.
type PathLoss struct {
	all   [maxPaths]pathLoss
	since time.Duration
}

// pathLoss compares expected heartbeats with those that came. A leader expects an
// acknowledgement of each of its heartbeats; the others expect one heartbeat for
// each of the leader's rounds.
type pathLoss struct {
	id             election.ID // zero: free
	expected, came uint64      // in this window
	term, round    uint64      // the newest heartbeat that came
	loss           float64     // of the last window; NaN: unknown
}

// of returns the entry of an agent, nil when there is no room.
func (p *PathLoss) of(id election.ID) *pathLoss {
	var free *pathLoss
	for i := range p.all {
		switch m := &p.all[i]; {
		case m.id == id:
			return m
		case free == nil && m.id.IsZero():
			free = m
		}
	}
	if free != nil {
		*free = pathLoss{id: id, loss: math.NaN()}
	}
	return free
}

// Sent counts a heartbeat that goes out.
func (p *PathLoss) Sent(m *election.Message) {
	if m.Kind != election.Heartbeat {
		return
	}
	if at := p.of(m.To); at != nil {
		at.expected++
	}
}

// Received counts a heartbeat or its acknowledgement. A heartbeat that comes
// after a newer one counts as lost.
func (p *PathLoss) Received(m *election.Message) {
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

// Roll ends the window when it is over, and frees the entries of silent agents.
func (p *PathLoss) Roll(now, heartbeat time.Duration) {
	if now-p.since < max(lossWindow, lossBeats*heartbeat) {
		return
	}
	p.since = now
	for i := range p.all {
		m := &p.all[i]
		if m.expected == 0 {
			*m = pathLoss{}
			continue
		}
		m.loss = 1 - min(1, float64(m.came)/float64(m.expected))
		m.expected, m.came = 0, 0
	}
}

// Loss gives an agent's share of lost heartbeats, NaN while unknown.
func (p *PathLoss) Loss(id election.ID) float64 {
	for i := range p.all {
		if p.all[i].id == id {
			return p.all[i].loss
		}
	}
	return math.NaN()
}
