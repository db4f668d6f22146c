package autopilot

import (
	"cmp"
	"maps"
	"time"

	"duckduckgoose/agent/election"
)

// TriedLately is how long the goose waits before it asks an agent again to take over
// for its priority: an agent that cannot keep the lead must not get it again and again.
const TriedLately = 5 * time.Minute

// Preemption decides when the goose hands over to an agent of a higher priority that
// asks for it. When a new term begins, it forgets how long agents have been steady. It
// keeps which agents were asked to take over.
type Preemption struct {
	term   uint64
	steady map[election.ID]time.Duration // since when this goose has seen an agent alive, acking and a voter
	asked  map[election.ID]time.Duration // when an agent was last asked to take over
}

// Heir is the agent that takes over for its priority; zero ID: nobody.
type Heir struct {
	ID       election.ID
	Priority uint8
	After    time.Duration // how long it wants to be steady before
	At       time.Duration // when it has been steady that long, and may be asked
	Asked    bool          // it was asked lately, which is what At waits for
}

// Decide returns the agent that takes over next, and whether to ask it now. Agents
// that were not asked lately come first, then the higher priority.
func (p *Preemption) Decide(now time.Duration, v View) (next Heir, due bool) {
	p.observe(now, v)
	own, stays, fitness := uint8(0), true, election.Fitness(0)
	if i := v.Config.Index(v.Self); i >= 0 {
		own = v.Config.Voters[i].Priority
	}
	for _, m := range v.Members {
		if m.ID == v.Self {
			own, stays, fitness = max(own, m.Priority), !m.Leaving, m.Fitness
		}
	}
	for _, m := range v.Members {
		since, steady := p.steady[m.ID]
		i := v.Config.Index(m.ID)
		if !steady || m.ID == v.Self || m.PreemptAfter <= 0 || m.Leaving || m.Forced || m.Observer ||
			m.Fitness&election.Unwell != 0 || m.Fitness&election.HasWork < fitness&election.HasWork || // rule 28
			m.Priority <= own || m.Priority != v.Config.Voters[i].Priority { // the config's priority counts; it is updated soon
			continue
		}
		h := Heir{ID: m.ID, Priority: m.Priority, After: m.PreemptAfter, At: since + m.PreemptAfter}
		if asked, ok := p.asked[m.ID]; ok && asked+TriedLately > h.At {
			h.At, h.Asked = asked+TriedLately, true
		}
		if next.ID.IsZero() || h.before(next) {
			next = h
		}
	}
	return next, !next.ID.IsZero() && now >= next.At && stays && v.Committed && !v.Frozen
}

// Ask records that an agent is asked to take over.
func (p *Preemption) Ask(now time.Duration, id election.ID) {
	if p.asked == nil {
		p.asked = map[election.ID]time.Duration{}
	}
	p.asked[id] = now
}

func (h Heir) before(other Heir) bool {
	if h.Asked != other.Asked {
		return !h.Asked
	}
	return cmp.Or(cmp.Compare(other.Priority, h.Priority), cmp.Compare(h.At, other.At)) < 0
}

func (p *Preemption) observe(now time.Duration, v View) {
	if p.term != v.Term || p.steady == nil {
		p.term, p.steady = v.Term, map[election.ID]time.Duration{}
	}
	seen := map[election.ID]bool{}
	for _, m := range v.Members {
		seen[m.ID] = true
		book(p.steady, m.ID, now, m.Alive && m.Acks && v.Config.Has(m.ID))
	}
	maps.DeleteFunc(p.steady, func(id election.ID, _ time.Duration) bool { return !seen[id] })
	maps.DeleteFunc(p.asked, func(_ election.ID, at time.Duration) bool { return now-at >= TriedLately })
}
