package member

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/founding"
	"duckduckgoose/wire"
)

// foundAlone founds a flock of one: this agent is its goose at once.
func (m *Member) foundAlone() error {
	c := election.Config{ConfigID: election.ConfigID{Version: 1}}
	c = c.With(election.Voter{ID: m.id, Priority: max(m.set.Priority, 1)})
	m.host.Tell(Event{Kind: EventFoundsAlone})
	return m.takePart(election.Record{FlockID: m.set.FlockID, Config: c}, m.set.Fresh)
}

// seek binds this agent to the flock it sees, or moves a founding along.
func (m *Member) seek(now time.Duration) error {
	if m.node() != nil {
		return nil
	}
	if id, ok := m.foundedFlock(); ok {
		return m.takePart(m.recordFor(id), m.set.Fresh)
	}
	if m.founder == nil {
		return nil
	}
	m.founder.See(now, m.freshAgents())
	return m.performFounding(m.founder.Tick(now))
}

// freshAgents returns the live agents that belong to no flock.
func (m *Member) freshAgents() (fresh []founding.Fresh) {
	for _, p := range m.peers {
		if p.State == Alive && p.Meta.FlockID.IsZero() {
			fresh = append(fresh, founding.Fresh{
				ID: p.ID, Name: p.Meta.Name, Expect: int(p.Meta.Expect), Priority: p.Meta.Priority, Observer: p.Meta.Observer,
			})
		}
	}
	return fresh
}

// foundedFlock returns the flock of a live agent that belongs to one: any flock, or the
// one whose founding this agent has accepted.
func (m *Member) foundedFlock() (election.FlockID, bool) {
	for _, p := range m.peers {
		if p.ID == m.id || p.State != Alive || p.Meta.FlockID.IsZero() {
			continue
		}
		if m.founder == nil || !m.founder.Bound() || m.founder.Obeys(p.Meta.FlockID) {
			return p.Meta.FlockID, true
		}
	}
	return election.FlockID{}, false
}

// recordFor returns what this disk knows of a flock: nothing, unless it belonged to that
// flock before it left.
func (m *Member) recordFor(id election.FlockID) election.Record {
	if rec, ok := m.state.Record(); ok && rec.FlockID == id {
		return rec
	}
	return election.Record{FlockID: id}
}

func (m *Member) performFounding(fx founding.Effects) error {
	if fx.Save != nil {
		st := m.state
		st.Founding = *fx.Save
		if err := m.save(st); err != nil {
			return err
		}
		m.tellGossip()
	}
	for i := range fx.Send {
		m.sendFounding(&fx.Send[i])
	}
	if fx.Found == nil {
		return nil
	}
	m.founders = m.founder.Set()
	m.host.Tell(Event{Kind: EventFounded, FlockID: fx.Found.FlockID, Agents: len(m.founders), Voters: int(fx.Found.Config.N)})
	return m.takePart(*fx.Found, m.set.Fresh)
}

// obeyFounding joins the flock whose founding this agent accepted, as soon as a datagram
// of that flock shows that it was founded.
func (m *Member) obeyFounding(id election.FlockID) error {
	if m.node() != nil || m.founder == nil || id.IsZero() || !m.founder.Obeys(id) {
		return nil
	}
	return m.takePart(election.Record{FlockID: id}, m.set.Fresh)
}

// showFounders sends the config of the founding to the other founders until a goose is
// heard: until then only this agent knows who may vote.
func (m *Member) showFounders() {
	if len(m.founders) == 0 {
		return
	}
	if goose, _ := m.Default().goose(); !goose.IsZero() {
		m.founders = nil
		return
	}
	for _, id := range m.founders {
		if id != m.id {
			m.Default().showConfig(id)
		}
	}
}

// showConfig sends another agent this agent's config.
func (e *Election) showConfig(to election.ID) {
	rec := e.node.Record()
	e.send(&election.Message{Kind: election.Reject, Config: rec.Config, Header: e.header(to)})
}

// header returns the start of a message of this election.
func (e *Election) header(to election.ID) election.Header {
	rec := e.node.Record()
	return election.Header{
		FlockID: rec.FlockID, Generation: rec.Generation, From: e.m.id, To: to, Term: rec.Term, ConfigID: rec.Config.ConfigID,
	}
}

// sendFounding sends a founding message at once: it was saved before.
func (m *Member) sendFounding(w *founding.Word) {
	addr, ok := m.addresses.Addr(w.To)
	if !ok {
		m.host.Count("no_address")
		return
	}
	f := &m.frame
	f.Messages, f.FlockID, f.To, f.Founding = f.Messages[:0], election.FlockID{}, w.To, w.Word
	m.sendFrame(f, addr)
	f.Founding = wire.Founding{}
}
