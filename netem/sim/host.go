package sim

import (
	"fmt"
	"net/netip"
	"slices"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
	"duckduckgoose/netem/check"
	"duckduckgoose/wire"
)

var _ member.Host = (*life)(nil)

// perDatagram bounds the messages of a datagram.
const perDatagram = 12

// Save writes and syncs slot A.
func (l *life) Save(st store.State) error {
	if l.sim.bugs.late != onTime {
		l.late = &st
		return nil
	}
	return l.save(st)
}

func (l *life) save(st store.State) error {
	if err := l.settle(); err != nil {
		return err
	}
	l.tears("write", 1)
	l.tears("sync", 2)
	written := st
	if saves := l.sim.bugs.saves; saves != nil {
		written = saves(l.store.State(), st)
	}
	if err := l.store.Save(written); err != nil {
		return err
	}
	if l.syncTakes > 0 {
		l.busyUntil = max(l.sim.now, l.busyUntil) + l.random.Between(l.syncTakes/4, l.syncTakes)
	}
	if l.reaches("save") {
		return errCrashed
	}
	l.sim.record(l, &st)
	return nil
}

// Settle writes slot B.
func (l *life) Settle() error {
	if l.late != nil {
		return nil
	}
	return l.settle()
}

func (l *life) settle() error {
	if l.struck {
		return errCrashed
	}
	before := l.disk.Ops()
	l.tears("settle-write", 1)
	if err := l.store.Settle(); err != nil {
		return err
	}
	if l.disk.Ops() > before && l.reaches("settle") {
		return errCrashed
	}
	return nil
}

// saveLate makes a save that a planted fault has delayed.
func (l *life) saveLate() error {
	if l.late == nil || l.struck {
		return nil
	}
	st := *l.late
	l.late = nil
	if err := l.save(st); err != nil {
		return err
	}
	for _, f := range l.held {
		l.launch(f)
	}
	l.held = l.held[:0]
	return l.settle()
}

// Send sends one datagram.
func (l *life) Send(to netip.AddrPort, frame *wire.Frame) (taken int) {
	taken = min(len(frame.Messages), perDatagram)
	if l.struck {
		return taken
	}
	f := l.sim.net.flight()
	f.from, f.to = l.agent, to
	f.carry(frame, taken)
	for i := range f.frame.Messages {
		if says := l.sim.bugs.says; says != nil {
			says(l, &f.frame.Messages[i])
		}
		m := &f.frame.Messages[i]
		l.shows(m.Election, m.Term, voteOf(m))
	}
	if l.late != nil && l.sim.bugs.late == afterGrants {
		l.held = append(l.held, f)
		return taken
	}
	l.launch(f)
	return taken
}

// launch sends a datagram, once a slow disk has finished.
func (l *life) launch(f *flight) {
	s := l.sim
	s.stats.Datagrams++
	if s.now < l.busyUntil {
		l.after(l.busyUntil-s.now, func() { s.launch(f) })
	} else {
		s.launch(f)
	}
	l.reaches("send")
}

// shows tells the checker what this life shows to others but has not saved, as far as
// the checker has seen: nothing, if the order of effects is right.
func (l *life) shows(number, term uint64, vote election.ID) {
	if number >= uint64(len(l.shown)) {
		return
	}
	rec := l.shown[number]
	if term < rec.Term || term == rec.Term && (vote.IsZero() || vote == rec.Vote) {
		return
	}
	rec.Term, rec.Vote = term, vote
	l.shown[number] = rec
	l.sim.emit(l.sim.seen(check.Recorded, l, l.member.Elections()[number].Name(), &rec))
}

// voteOf returns the vote that a message shows; zero: none.
func voteOf(m *wire.Message) (id election.ID) {
	if m.Kind == election.VoteReply && m.Granted {
		return m.To
	}
	return id
}

// Local returns the programs that follow an election.
func (l *life) Local(name string) member.Local { return l.localOf(name) }

// TellGossip publishes meta; the others see it at their next look.
func (l *life) TellGossip(meta member.Meta) {
	if !l.struck {
		l.meta = meta
		l.tells++
	}
}

// MarkLeft records that a failed agent was removed for good.
func (l *life) MarkLeft(id election.ID) {
	if i := slices.IndexFunc(l.views, func(v view) bool { return v.id == id && v.state == member.Failed }); i >= 0 {
		l.views[i].state, l.marked = member.Left, true
	}
}

// AskTable asks on a stream: the answer comes after a round trip, or never.
func (l *life) AskTable(to election.ID, q member.TableQuestion, then func(*member.TableAnswer)) {
	s := l.sim
	at := s.net.streamTakes()
	var answer *member.TableAnswer
	s.after(at, func() {
		if b := s.asked(l, to); b != nil {
			b.turn(func() error {
				a := b.member.AnswerTable(q)
				answer = &a
				return nil
			})
		} else {
			at = askWait
		}
		l.after(at, func() { l.input(func() { then(answer) }) })
	})
}

// Heard adds a message that a member reads to the trace.
func (l *life) Heard(number uint64, m *election.Message) {
	l.sim.trace.message(l, number, m)
	if hears := l.sim.bugs.hears; hears != nil {
		hears(l, number, m)
	}
}

// Count ignores counters.
func (l *life) Count(string) {}

// Flush has nothing to do: Send sends at once.
func (l *life) Flush() {}

// Tell records an event.
func (l *life) Tell(e member.Event) {
	s := l.sim
	if word := told[e.Kind]; word != "" {
		s.stats.Told[word]++
		s.note(l.agent, "tells: "+word, uint64(e.Kind))
	}
	if e.Kind != member.EventElection {
		return
	}
	s.note(l.agent, fmt.Sprintf("%v, term %d", e.What, e.Term), uint64(e.What), e.Term)
	switch e.What {
	case election.EventCampaign:
		s.stats.Campaigns++
		if l.unfit {
			s.broke(&check.Violation{Promise: "P4", At: s.now, Text: l.ident + " campaigns, though it is unwell (rule 28)"})
		}
	case election.EventImplausible:
		s.stats.Told["implausible"]++
	case election.EventVoters:
		s.stats.VoterChanges++
	case election.EventWon:
		s.stats.Elections++
		rec := l.member.Named(e.Election).Node().Record()
		l.localOf(e.Election).emit(check.Event{Kind: check.Led, Token: rec.Token()})
	case election.EventTwoLeaders:
		if !s.cloned {
			s.broke(&check.Violation{Promise: "P1", At: s.now, Text: l.ident + " saw a second leader of its term"})
		}
	}
}

// told has the words for the events of members, except those of elections.
var told = map[member.EventKind]string{
	member.EventFounded: "founded", member.EventStale: "stale", member.EventClone: "clone", member.EventPreempted: "preempted",
	member.EventUnfit: "unfit", member.EventFrozen: "frozen", member.EventThawed: "thawed", member.EventElectionBegins: "begins",
	member.EventUnwell: "unwell", member.EventWellAgain: "well-again", member.EventFollowsWork: "follows-work", member.EventElectionEnds: "ends", member.EventMoves: "moves", member.EventForeignFlock: "foreign",
}

// record shows the checker the state that an agent shows from now on.
func (s *Sim) record(l *life, st *store.State) {
	s.learnTable(st)
	for i := range st.Elections {
		e := &st.Elections[i]
		if e.Number != 0 && !e.Started {
			continue
		}
		for int(e.Number) >= len(l.shown) {
			l.shown = append(l.shown, election.Record{})
		}
		if l.shown[e.Number] == e.Record {
			continue
		}
		l.shown[e.Number] = e.Record
		if e.Number == 0 {
			l.agent.rec = e.Record
		}
		s.trace.mix(e.Number, e.Record.Term, e.Record.Config.Term, e.Record.Config.Version)
		s.emit(s.seen(check.Recorded, l, e.Name, &e.Record))
	}
	l.shown = l.shown[:min(len(l.shown), len(st.Elections))]
}

// learnTable keeps the content of a table of elections. Configs name it by its digest.
func (s *Sim) learnTable(st *store.State) {
	others := slices.DeleteFunc(slices.Clone(st.Elections), func(e store.Election) bool { return e.Number == 0 })
	digest := store.TableOf(others)
	if len(others) == 0 || s.tables[digest] != "" {
		return
	}
	text := ""
	for _, e := range others {
		text += e.Name + " "
	}
	s.tables[digest] = text
}

// agree tells the checker that a goose takes a table for committed.
func (s *Sim) agree(l *life) {
	n := l.node()
	if n == nil || n.Role() != election.Leader || !n.Committed() {
		return
	}
	if rec := n.Record(); !rec.Config.Table.IsZero() && l.agreed != rec.Config.ConfigID && !l.struck {
		l.agreed = rec.Config.ConfigID
		s.emit(s.seen(check.Agreed, l, "", &rec))
	}
}
