package sim

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/founding"
	"duckduckgoose/agent/store"
	"duckduckgoose/netem/check"
)

// crashPoint is a moment within perform.
type crashPoint uint8

const (
	noCrash     crashPoint = iota
	inWrite                // the power goes while slot A is written
	inSync                 // ... while it is synced
	afterSave              // durable, and nothing sent
	amidSend               // one message of several sent
	afterSend              // all sent, nothing granted
	afterGrant             // granted, slot B not written
	inSettle               // the power goes while slot B is written
	crashPoints            // how many there are
)

// perform carries out what a step asks for, in the order of package agent's
// perform.go: retract, save, send, grant, settle.
func (l *life) perform() error {
	lease := l.sim.bugs.publishes(l, l.node.Lease())
	l.retract(lease)
	if l.fx.Save {
		st := l.store.State()
		old, _ := recordOf(st)
		setRecord(&st, l.sim.bugs.saves(old, l.fx.Record))
		if err := l.saveState(st); err != nil {
			return err
		}
		l.sim.record(l, l.fx.Record)
	}
	l.count()
	for i := range l.fx.Send {
		if i == 1 && l.struck(amidSend, l.fx.Save) {
			return errCrashed
		}
		l.sendElection(&l.fx.Send[i])
	}
	if l.fx.Announce {
		for _, id := range l.audience {
			l.fx.Announcement.To = id
			l.sendElection(&l.fx.Announcement)
		}
	}
	if l.struck(afterSend, l.fx.Save) {
		return errCrashed
	}
	l.grant(lease)
	l.wakeAt = l.fx.WakeAt
	if l.fx.Save {
		if l.struck(afterGrant, true) {
			return errCrashed
		}
		return l.settled(l.store.Settle())
	}
	return nil
}

// saveState makes any change of the state durable.
func (l *life) saveState(st store.State) error {
	a := l.agent
	switch a.armed {
	case inWrite, inSync:
		a.disk.CutAt(a.disk.Ops() + int(a.armed-inWrite) + 1)
	case inSettle:
		a.disk.CutAt(a.disk.Ops() + 3)
	}
	if err := l.store.Save(st); err != nil {
		return l.settled(err)
	}
	if a.syncTakes > 0 {
		l.busyUntil = max(l.sim.now, l.busyUntil) + between(&a.dice, a.syncTakes/4, a.syncTakes)
	}
	if l.struck(afterSave, true) {
		return errCrashed
	}
	return nil
}

// settled takes the outcome of a save: an armed power cut is a crash, anything
// else a broken disk.
func (l *life) settled(err error) error {
	if err != nil && l.armed != noCrash {
		l.sim.strike(l.agent, true)
		return errCrashed
	}
	return err
}

// struck crashes the agent if that is armed for this moment.
func (l *life) struck(p crashPoint, saving bool) bool {
	if l.armed != p || !saving {
		return false
	}
	l.sim.strike(l.agent, oneIn(&l.dice, 2))
	return true
}

// strike is an armed crash.
func (s *Sim) strike(a *agent, power bool) {
	s.stats.Struck["crash-at-save"]++
	s.note(a, noteStruck, uint64(a.armed), 0)
	back := a.armedFor
	s.crash(a, power)
	s.queue.push(occurrence{at: s.now + back, what: onStart, agent: a})
}

// sendElection sends one message to the agent it names.
func (l *life) sendElection(m *election.Message) {
	p, ok := l.book[m.To]
	if !ok {
		return
	}
	f := l.sim.net.flight()
	f.m = *m
	l.sim.bugs.sends(l, &f.m)
	l.sendFlight(f, p)
}

func (l *life) sendWord(w *founding.Word) {
	p, ok := l.book[w.To]
	if !ok {
		return
	}
	f := l.sim.net.flight()
	f.m = election.Message{Header: election.Header{From: l.id, To: w.To}}
	word := w.Word
	f.word = &word
	l.sendFlight(f, p)
}

// sendFlight stamps a datagram and lets it go, once a slow disk allows.
func (l *life) sendFlight(f *flight, p page) {
	s := l.sim
	l.seq++
	f.m.From, f.m.Start, f.m.Life, f.m.Seq = l.id, l.start, l.number, l.seq
	f.m.ToLife = p.life
	f.from, f.to = l.agent, p.addr
	s.stats.Datagrams++
	if s.now < l.busyUntil {
		s.queue.push(occurrence{at: l.busyUntil, what: onDeparture, agent: l.agent, life: l.number, flight: f})
		return
	}
	s.launch(f)
}

// retract publishes the end of a lease before anything else happens (order 0).
func (l *life) retract(lease election.Lease) {
	old := l.board
	if old.Token == 0 || old.Token == lease.Token && old.Until <= lease.Until {
		return
	}
	l.board = election.Lease{}
	l.tellReaders(check.Event{Kind: check.Retracted})
	l.stopWork()
}

// grant publishes a lease that is new or lasts longer (order 3).
func (l *life) grant(lease election.Lease) {
	if lease.Token == 0 || l.board == lease {
		return
	}
	l.board = lease
	l.tellReaders(check.Event{Kind: check.Published, Token: lease.Token, Until: l.clock.at(l.sim.now, lease.Until)})
	l.renew(lease, l.handing != nil)
}

// tellReaders changes what readers of this agent see, once a slow disk allows.
func (l *life) tellReaders(e check.Event) {
	e.Agent, e.Flock = l.ident, l.flock()
	l.sim.later(l, nil, e)
}

// later has the checker see an event when the loop gets there; what is handed to
// a holder, only if it is not done by then.
func (s *Sim) later(l *life, h *holder, e check.Event) {
	if at := s.bugs.learns(l, e); s.now < at {
		s.queue.push(occurrence{at: at, what: onBoard, agent: l.agent, life: l.number, holder: h, board: &e})
		return
	}
	s.emit(e)
}

// count books what a step says has happened.
func (l *life) count() {
	s := l.sim
	for _, e := range l.fx.Events {
		s.note(l.agent, noteElection+note(e.Kind), e.Term, 0)
		switch e.Kind {
		case election.EventCampaign:
			s.stats.Campaigns++
		case election.EventWon:
			s.stats.Elections++
			rec := l.node.Record()
			s.emit(check.Event{Kind: check.Led, Agent: l.ident, Flock: l.flock(), Token: rec.Token()})
		case election.EventTwoLeaders:
			s.broke(&check.Violation{Promise: "P1", At: s.now, Text: l.ident + " saw a second leader of its term"})
		case election.EventResigned:
			if l.handing != nil {
				l.handing.resigned = true
			}
		}
	}
}

// deadline gives a boot clock reading as true time.
func (l *life) deadline(until time.Duration) time.Duration { return l.clock.at(l.sim.now, until) }
