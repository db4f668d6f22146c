package sim

import (
	"fmt"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem/check"
)

// traceLines is how many of the last events a failure shows.
const traceLines = 400

const hashSeed = 14695981039346656037

// trace has a hash of all events of a run, and the last important ones as lines.
type trace struct {
	hash  uint64
	lines [traceLines]line
	n     int
	token uint64
}

// line is one event. It is formatted only when needed.
type line struct {
	at   time.Duration
	who  string
	text func() string
}

// mix adds words to the hash (FNV-1a, a word at a time).
func (t *trace) mix(words ...uint64) {
	h := t.hash
	for _, w := range words {
		h = (h ^ w) * 1099511628211
		h ^= h >> 29
	}
	t.hash = h
}

func (t *trace) add(l line) {
	t.lines[t.n%traceLines] = l
	t.n++
}

// note adds an action of an agent to the trace, with the numbers that distinguish it.
func (s *Sim) note(a *agent, text string, words ...uint64) {
	s.trace.mix(uint64(a.index), uint64(len(text)))
	s.trace.mix(words...)
	s.trace.add(line{at: s.now, who: a.ident, text: func() string { return text }})
}

// event adds what the checker sees, except renewals.
func (t *trace) event(e *check.Event) {
	switch e.Kind {
	case check.Published:
		if e.Token == t.token {
			return
		}
		t.token = e.Token
	case check.HandedOut, check.Led:
		return // readers show leases, and the election reports wins
	}
	seen := *e
	t.add(line{at: e.At, text: func() string { return seen.String() }})
}

// message adds a message that a member reads.
func (t *trace) message(l *life, number uint64, m *election.Message) {
	t.mix(uint64(m.Kind), number, m.Term, m.Round, uint64(m.Promise))
	switch m.Kind {
	case election.Heartbeat:
		l.rtt = max(l.rtt, m.RTT)
		return
	case election.HeartbeatAck:
		return
	}
	kind, term, from, granted, reason := m.Kind, m.Term, m.From, m.Granted, m.Reason
	t.add(line{at: l.sim.now, who: l.ident, text: func() string {
		text := fmt.Sprintf("hears %v of %s, term %d", kind, l.sim.nameOf(from), term)
		switch {
		case granted:
			text += ", granted"
		case reason > 0:
			text += fmt.Sprintf(", refused (%d)", reason)
		}
		return text
	}})
}

// tail returns the last lines.
func (t *trace) tail() []string {
	var out []string
	for i := max(0, t.n-traceLines); i < t.n; i++ {
		out = append(out, t.lines[i%traceLines].String())
	}
	return out
}

func (l *line) String() string {
	return fmt.Sprintf("%-14v %-6s %s", l.at.Round(time.Microsecond), l.who, l.text())
}

// state returns the state of every agent, for a failure.
func (s *Sim) state() []string {
	var out []string
	for _, a := range s.agents {
		text := fmt.Sprintf("%-6s term %d vote %s config (%d, %d) %s", a.ident, a.rec.Term, s.nameOf(a.rec.Vote),
			a.rec.Config.Term, a.rec.Config.Version, s.votersOf(&a.rec.Config))
		var how []string
		switch {
		case a.gone:
			how = append(how, "gone")
		case a.life == nil:
			how = append(how, "down")
		case a.asleep:
			how = append(how, "asleep")
		case a.stopped:
			how = append(how, "paused")
		}
		if a.unwell {
			how = append(how, "unwell")
		}
		if l := a.life; l != nil && l.node() != nil {
			for _, e := range l.member.Elections() {
				leader, term, _ := e.Node().Heard()
				how = append(how, fmt.Sprintf("%v of %s in term %d %s", e.Node().Role(), s.nameOf(leader), term, e.Name()))
			}
			if w := l.node().WaitUntil() - l.Now(); w > 0 {
				how = append(how, fmt.Sprintf("waits %v (rule 13)", w))
			}
			how = append(how, fmt.Sprintf("next in %v", l.member.WakeAt(0)-l.Now()))
		}
		if a.ruled {
			how = append(how, a.emulator.Rules().String())
		}
		out = append(out, text+"; "+strings.Join(how, "; "))
	}
	return out
}
