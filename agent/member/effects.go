package member

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

// act carries out what the inputs of a turn asked for. This order is the safety
// of the flock:
//
//	0  retract whatever takes the goose's right away or shortens it: at the step
//	   itself, in [Election.retract]
//	1  save the records; if that fails, be no goose, send nothing, stop
//	2  send
//	3  leave a last will, grant whatever gives or lengthens the goose's right,
//	   publish, and settle the disk's second copy
//
// So no datagram and no lease shows anything that the disk could still lose.
// All elections share one save, and one datagram to each other agent.
func (m *Member) act(now time.Duration) error {
	if m.broken != nil {
		m.retractAll(LeaseLost)
		return m.broken
	}
	for _, e := range m.touched {
		e.keepPace(now)
	}
	saved, err := m.saveRecords()
	if err != nil {
		return err
	}
	if saved {
		now = m.host.Now() // the disk took its time
	}
	m.passOn(now)
	m.sendQueued(now)
	m.host.Flush()
	m.leaveWills()
	for _, e := range m.touched {
		_, e.committed = e.node.Mark()
		e.grant(e.node.Lease())
		e.publish(now)
		e.tellAdvances(now)
		m.restAt = e.restUntil(now, m.restAt)
		e.touched = false
	}
	m.touched = m.touched[:0]
	return m.settle()
}

// saveRecords saves the records that have changed, all in one (order 1).
func (m *Member) saveRecords() (saved bool, err error) {
	dirty := false
	for _, e := range m.touched {
		dirty = dirty || e.dirty
		e.dirty = false
	}
	if !dirty {
		return false, nil
	}
	st := m.state
	st.Elections = m.rows()
	return true, m.save(st)
}

// save makes a change of the state durable. After a failure this agent must not answer
// any more: nothing is known about what a failed sync has lost.
func (m *Member) save(st store.State) error {
	if m.broken == nil {
		m.broken = m.host.Save(st)
	}
	if m.broken != nil {
		m.retractAll(LeaseLost)
		return m.broken
	}
	m.state, m.unsettled = st, true
	return nil
}

// settle updates the disk's second copy with what this turn saved.
func (m *Member) settle() error {
	if !m.unsettled {
		return nil
	}
	m.unsettled = false
	if m.broken = m.host.Settle(); m.broken != nil {
		m.retractAll(LeaseLost)
	}
	return m.broken
}

// retract shows the end of a lease before anything else happens (order 0).
func (e *Election) retract(lease election.Lease) {
	old := e.lease
	if old.Token == 0 || old.Token == lease.Token && old.Until <= lease.Until {
		return
	}
	e.endLease(LeaseLost)
	if lease.Token == 0 {
		e.publish(e.m.host.Now()) // before the disk: watchers must see the end of the lease at once
	}
}

// grant shows a new or longer lease (order 3).
func (e *Election) grant(lease election.Lease) {
	if lease.Token == 0 || e.lease == lease || e.m.gone {
		return
	}
	e.lease = lease
	e.local.Grant(lease, e.handover != nil)
}

// endLease ends this agent's lease of the election, for readers and holders.
func (e *Election) endLease(cause Cause) {
	e.lease = election.Lease{}
	e.local.Retract(cause)
}

// retractAll ends this agent's leases of all elections.
func (m *Member) retractAll(cause Cause) {
	for _, e := range m.elections {
		e.endLease(cause)
	}
}

// shown is what readers were last shown of an election in which this agent only follows
// its goose; zero: it does not.
type shown struct {
	goose            election.ID
	term             uint64
	heard            time.Duration // for how long a heartbeat names the goose
	version, members uint64
}

// publish shows readers the election as it is now, and computes when time alone will
// change that. If the goose was heard again, and that is all, readers are told no more:
// of 100 elections most are like that in each turn.
func (e *Election) publish(now time.Duration) {
	e.renewRecord()
	seen, heardAt := e.follows(now)
	if seen == e.shown && !seen.goose.IsZero() && now < e.lapseAt && e.local.Heard(heardAt) {
		e.lapseAt = heardAt + seen.heard
		return
	}
	e.calm = e.calm && seen == e.shown
	e.shown = seen
	e.show(now)
}

// follows returns what readers are to see if this agent only follows the goose of another
// election than the default one, and when that was heard.
func (e *Election) follows(now time.Duration) (seen shown, heardAt time.Duration) {
	if e.number == 0 || e.node.Role() != election.Follower || e.lease.Token != 0 {
		return seen, 0
	}
	id, term, heardAt := e.node.Heard()
	heard := e.node.HeardLease()
	if id.IsZero() || heardAt == 0 || now >= heardAt+heard {
		return seen, 0
	}
	return shown{id, term, heard, e.version, e.m.membersNow}, heardAt
}

// show shows readers all of the election.
func (e *Election) show(now time.Duration) {
	v := &e.m.view // one of its own would be allocated each time
	e.fill(now, v)
	e.lapseAt = v.Lapses
	e.local.Publish(now, v)
}

// fill gives what readers see of the election.
func (e *Election) fill(now time.Duration, v *View) {
	*v = View{Record: &e.record, Version: e.version, Members: e.m.membersNow, Work: e.fitness&election.HasWork != 0, Health: e.health}
	if e.node != nil {
		v.Role = e.node.Role()
		v.Token = e.lease.Token // as granted: the node's own may not be saved yet
		if e.lease.Until > now {
			v.Leased, v.Lapses = true, e.lease.Until
		}
		id, term, heardAt := e.node.Heard()
		v.HeardAt, v.Heard, v.Pace = heardAt, e.node.HeardLease(), e.node.Pace()
		if e.pacer != nil {
			v.PaceWhy = e.pacer.why
		}
		if v.Role != election.Leader && !id.IsZero() && heardAt != 0 && now < heardAt+v.Heard {
			v.Goose, v.GooseTerm, v.GooseToken = id, term, e.node.Generation().Number<<40+term
			v.Lapses = heardAt + v.Heard
		}
	}
}

// renewRecord copies what readers see of the node's record. Most steps change nothing of
// it.
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
