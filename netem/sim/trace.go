package sim

import (
	"fmt"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/netem/check"
)

// traceLines is how many of the last events a failure shows.
const traceLines = 400

const hashSeed = 14695981039346656037

// trace is what a run leaves behind: a hash of everything that happened, and
// the last notable lines of it.
type trace struct {
	hash  uint64
	lines [traceLines]line
	n     int
	token uint64
}

// line is one event, printed only when it is asked for.
type line struct {
	at   time.Duration
	who  string
	note note
	x, y uint64
	text string
}

// note is the kind of a line.
type note uint8

const (
	noteOp note = iota
	noteStart
	noteStop
	noteStruck
	noteDiskFailed
	noteTold
	noteCheck
	noteElection note = 64  // + election.EventKind
	noteMessage  note = 128 // + election.Kind
)

// mix takes words into the hash (FNV-1a, a word at a time).
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

func (s *Sim) note(a *agent, n note, x, y uint64) {
	s.trace.mix(uint64(n), uint64(a.index), x, y)
	s.trace.add(line{at: s.now, who: a.ident, note: n, x: x, y: y})
}

// event keeps what the checker sees, but for renewals.
func (t *trace) event(e *check.Event) {
	switch e.Kind {
	case check.Published, check.HandedOut:
		if e.Token == t.token && e.Kind == check.Published {
			return
		}
		if e.Kind == check.Published {
			t.token = e.Token
		} else if e.Token <= t.token {
			return
		}
	case check.Led:
		return // the election says it
	}
	t.add(line{at: e.At, note: noteCheck, text: e.String()})
}

// frame takes a datagram that an agent reads into the hash.
func (t *trace) frame(l *life, f *flight) {
	t.mix(uint64(l.index), uint64(f.from.index), f.frame.Seq, uint64(f.frame.Founding.Kind), uint64(len(f.frame.Messages)))
}

// message takes a message that a member is told into the trace.
func (t *trace) message(l *life, number uint64, m *election.Message) {
	t.mix(uint64(m.Kind), number, m.Term, m.Round, uint64(m.Promise))
	switch m.Kind {
	case election.Heartbeat:
		l.rtt = max(l.rtt, m.RTT)
		return
	case election.HeartbeatAck:
		return
	}
	granted := uint64(0)
	if m.Granted {
		granted = 1
	}
	t.add(line{at: l.sim.now, who: l.ident, note: noteMessage + note(m.Kind), x: m.Term, y: granted<<8 | uint64(m.Reason), text: l.sim.nameOf(m.From)})
}

// tail prints the last lines.
func (t *trace) tail() []string {
	var out []string
	for i := max(0, t.n-traceLines); i < t.n; i++ {
		out = append(out, t.lines[i%traceLines].String())
	}
	return out
}

func (l *line) String() string {
	head := fmt.Sprintf("%-14v %-6s ", l.at.Round(time.Microsecond), l.who)
	switch {
	case l.note >= noteMessage:
		s := fmt.Sprintf("%shears %v of %s, term %d", head, election.Kind(l.note-noteMessage), l.text, l.x)
		if l.y>>8 == 1 {
			s += ", granted"
		} else if l.y > 0 {
			s += fmt.Sprintf(", refused (%d)", l.y)
		}
		return s
	case l.note >= noteElection:
		return fmt.Sprintf("%s%v, term %d", head, election.EventKind(l.note-noteElection), l.x)
	}
	switch l.note {
	case noteOp:
		return head + "FAULT " + l.text
	case noteStart:
		return head + "starts"
	case noteStop:
		return head + "has stopped"
	case noteStruck:
		return head + "crashes at " + effect(l.x).String()
	case noteDiskFailed:
		return head + "stops: its disk failed"
	case noteTold:
		return head + "tells: " + told[member.EventKind(l.x)]
	}
	return head + l.text
}

// state tells how every agent is, for a failure.
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
		if l := a.life; l != nil && l.node() != nil {
			for _, e := range l.member.Elections() {
				leader, term, _ := e.Node().Heard()
				how = append(how, fmt.Sprintf("%v of %s in term %d %s", e.Node().Role(), s.nameOf(leader), term, e.Name()))
			}
			if w := l.node().WaitUntil() - l.Now(); w > 0 {
				how = append(how, fmt.Sprintf("waits %v (rule 13)", w))
			}
			how = append(how, fmt.Sprintf("next in %v", l.member.WakeAt()-l.Now()))
		}
		if a.ruled {
			how = append(how, a.emulator.Rules().String())
		}
		out = append(out, text+"; "+strings.Join(how, "; "))
	}
	return out
}
