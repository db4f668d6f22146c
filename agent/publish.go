package agent

import (
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

// publish posts what readers can tell apart from what stands, and notes when
// time alone will change it next. It runs at every step, so it makes nothing
// unless something has changed.
func (c *contest) publish(now time.Duration) {
	l := c.l
	v := visible{members: l.membersSeen, netem: l.netem, warnings: l.warningText}
	var token uint64
	c.lapseAt = 0
	renewed := c.renewRecord()
	if c.node != nil {
		v.role = c.node.Role()
		if lease := c.node.Lease(); lease.Token != 0 {
			token = lease.Token
			if lease.Until > now {
				v.leased, c.lapseAt = true, lease.Until
			}
		}
		id, term, heardAt := c.node.Heard()
		c.seat.board.heardAt.Store(int64(heardAt))
		if v.role != election.Leader && !id.IsZero() && heardAt != 0 && now < heardAt+l.cfg.Lease {
			v.goose, v.token = id, c.shownRecord.Generation.Number<<40+term
			c.lapseAt = heardAt + l.cfg.Lease
		}
	}
	if c.number == 0 {
		l.meter(now, &v)
	}
	if c.shown == v && !renewed && c.shownToken == token && c.shownOnce && !c.seat.board.lapsed() {
		return
	}
	c.shown, c.shownToken, c.shownOnce = v, token, true
	if c.number == 0 {
		l.postMembers() // before those whom the notice wakes look at them
	}
	c.seat.board.post(c.status(v), token, l.cfg.Lease)
}

// renewRecord takes over what readers see of the node's record, and tells whether
// that is something new. Most steps change nothing of it.
func (c *contest) renewRecord() bool {
	if c.node == nil || !c.changed && c.shownOnce {
		return false
	}
	c.changed = false
	record := c.node.Record()
	record.PromiseMax, record.Vote = 0, election.ID{}
	if record == c.shownRecord {
		return false
	}
	c.shownRecord = record
	return true
}

// status builds the status that v stands for, with nothing run out yet.
func (c *contest) status(v visible) Status {
	l, record := c.l, &c.shownRecord
	s := Status{
		Election: c.seat.name, Name: l.cfg.Name, ID: l.id.String(), Addr: l.mux.Advertised().String(),
		Flock: l.cfg.Flock, FlockID: record.FlockID.String(), Role: api.RoleDuck,
		Voter: record.Config.Has(l.id), Priority: c.priority(),
		Generation: record.Generation.Number, Term: record.Term,
		Config:    api.Config{Term: record.Config.Term, Version: record.Config.Version, Voters: []api.Voter{}},
		Heartbeat: millis(l.cfg.Heartbeat), LeaseMS: millis(l.cfg.Lease),
		Alive: l.alive, Netem: l.netem, Warnings: append([]string{}, l.warnings...), Version: l.cfg.Version,
	}
	if v.role == election.PreCandidate || v.role == election.Candidate {
		s.Role = api.RoleCandidate
	}
	for _, voter := range record.Config.Members() {
		s.Config.Voters = append(s.Config.Voters, api.Voter{
			ID: voter.ID.String(), Name: l.nameOf(voter.ID), Priority: voter.Priority,
		})
	}
	if !v.goose.IsZero() {
		_, term, _ := c.node.Heard()
		addr := ""
		if a, ok := l.book.Addr(v.goose); ok {
			addr = a.String()
		}
		s.Goose = &api.Goose{Name: l.nameOf(v.goose), ID: v.goose.String(), Addr: addr, Term: term}
		s.Token = v.token
	}
	return s
}

// priority is the one that counts: the config's for a voter, the flag's for the rest.
func (c *contest) priority() uint8 {
	if c.node != nil {
		rec := c.node.Record()
		if i := rec.Config.Index(c.l.id); i >= 0 {
			return rec.Config.Voters[i].Priority
		}
	}
	return c.l.cfg.priority()
}
