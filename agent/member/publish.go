package member

import (
	"time"

	"duckduckgoose/agent/election"
)

// publish shows readers the election as it is now, and notes when time alone
// will change that.
func (e *Election) publish(now time.Duration) {
	e.renewRecord()
	v := View{Record: &e.record, Version: e.version, Members: e.m.membersNow}
	if e.node != nil {
		v.Role = e.node.Role()
		v.Token = e.lease.Token // as granted: the node's own may not be saved yet
		if e.lease.Until > now {
			v.Leased, v.Lapses = true, e.lease.Until
		}
		id, term, heardAt := e.node.Heard()
		v.HeardAt = heardAt
		if v.Role != election.Leader && !id.IsZero() && heardAt != 0 && now < heardAt+e.m.set.Lease {
			v.Goose, v.GooseTerm, v.GooseToken = id, term, e.record.Generation.Number<<40+term
			v.Lapses = heardAt + e.m.set.Lease
		}
	}
	e.lapseAt = v.Lapses
	e.local.Publish(now, &v)
}

// renewRecord takes over what readers see of the node's record. Most steps
// change nothing of it.
func (e *Election) renewRecord() {
	if e.node == nil || !e.changed {
		return
	}
	e.changed = false
	record := e.node.Record()
	record.PromiseMax, record.Vote = 0, election.ID{}
	if record != e.record {
		e.record = record
		e.version++
	}
}
