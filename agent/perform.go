package agent

import (
	"fmt"
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// perform carries out what a step asks for. It is the only place that knows
// the order, and the order is the safety of the flock:
//
//	0  publish whatever takes goose-ship away or shortens it
//	1  make the record durable; if that fails, be no goose, send nothing, stop
//	2  send
//	3  publish whatever grants or lengthens, and settle the disk's second slot
func (l *life) perform(now time.Duration) error {
	lease := l.node.Lease()
	l.retract(lease)
	if l.fx.Save {
		if err := l.save(); err != nil {
			return err
		}
	}
	for i := range l.fx.Send {
		l.sendElection(&l.fx.Send[i])
	}
	if l.fx.Announce {
		l.announce(&l.fx.Announcement)
	}
	l.grant(lease)
	l.count()
	l.wakeAt = l.fx.WakeAt
	l.publish(now)
	if l.fx.Save {
		if err := l.disk.Settle(); err != nil {
			return l.failedDisk(err)
		}
	}
	return nil
}

// retract publishes the end of a lease before anything else happens (order 0).
func (l *life) retract(lease election.Lease) {
	old := l.board.publishedLease()
	if old.Token == 0 || old.Token == lease.Token && old.Until <= lease.Until {
		return
	}
	l.board.setLease(election.Lease{})
	l.holders.stopAll(stopLost)
	if lease.Token == 0 {
		l.publish(l.now()) // a slow disk must not keep watchers waiting for the bad news
	}
}

// grant publishes a lease that is new or lasts longer (order 3).
func (l *life) grant(lease election.Lease) {
	if lease.Token == 0 {
		return
	}
	if l.board.publishedLease() == lease {
		return
	}
	l.board.setLease(lease)
	l.holders.renew(lease, l.handing != nil)
}

// save makes the node's record durable (order 1).
func (l *life) save() error {
	st := l.disk.State()
	setRecord(&st, l.fx.Record)
	return l.saveState(st)
}

// saveState makes any change of the state durable; an agent whose disk fails
// may not answer anybody any more (fsync cannot be asked twice).
func (l *life) saveState(st store.State) error {
	start := time.Now()
	if err := l.disk.Save(st); err != nil {
		return l.failedDisk(err)
	}
	l.meters.saves.Observe(time.Since(start).Seconds())
	return nil
}

func (l *life) failedDisk(err error) error {
	l.board.setLease(election.Lease{})
	l.holders.stopAll(stopLost)
	return fmt.Errorf("save to %s: %w: this agent can no longer vote or lead, and stops", l.cfg.DataDir, err)
}

// setRecord puts the default election's record into a state.
func setRecord(st *store.State, rec election.Record) {
	for i := range st.Elections {
		if st.Elections[i].Number == 0 {
			st.Elections[i].Record = rec
			return
		}
	}
	st.Elections = append(st.Elections, store.Election{Record: rec})
}

// recordOf gives the default election's record of a state.
func recordOf(st store.State) (election.Record, bool) {
	for _, e := range st.Elections {
		if e.Number == 0 {
			return e.Record, true
		}
	}
	return election.Record{}, false
}

// sendElection sends one message of the election to the agent it names.
func (l *life) sendElection(m *election.Message) {
	addr, ok := l.book.Addr(m.To)
	if !ok {
		l.noAddress.Add(1)
		return
	}
	f := &l.out
	f.Founding.Kind = 0
	f.Messages = append(f.Messages[:0], wire.Message{Message: *m})
	f.FlockID, f.To = m.FlockID, m.To
	l.paths.sent(m)
	l.sighted.asking(m, l.cfg.Clock)
	l.sendFrame(f, addr)
}

// announce sends a heartbeat to every live agent that the node does not keep in view.
func (l *life) announce(m *election.Message) {
	if len(l.audience) == 0 {
		return
	}
	out := *m
	for _, id := range l.audience {
		out.To = id
		l.sendElection(&out)
	}
}

// sendFrame stamps, encodes, seals and sends.
func (l *life) sendFrame(f *wire.Frame, addr netip.AddrPort) {
	l.seq++
	f.From, f.Start, f.Life, f.Seq = l.id, l.start, l.number, l.seq
	body, err := wire.AppendFrame(l.body[:0], f)
	if err != nil {
		l.notSent(addr, err)
		return
	}
	sealed, err := l.keys.Load().Seal(l.datagram[:0], body)
	if err != nil {
		l.notSent(addr, err)
		return
	}
	l.sent.Add(1)
	l.sentBytes.Add(uint64(len(sealed)))
	l.counts.traffic.count(trafficSent, f, len(sealed))
	if err := l.net.WriteTo(sealed, addr); err != nil {
		l.notSent(addr, err)
	}
}

func (l *life) notSent(addr netip.AddrPort, err error) {
	l.sendErrors.Add(1)
	l.quiet.warn("send "+addr.String(), "datagram not sent", "to", addr, "error", err)
}
