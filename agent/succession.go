package agent

import (
	"fmt"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// succession follows the goose of one election and logs each change once, with its
// cause as far as this agent knows it.
type succession struct {
	goose  election.ID   // now; zero: none is known
	term   uint64        // of goose, or of the last one
	token  uint64        // the same
	last   election.ID   // goose, or the last one
	seenAt time.Duration // when a goose was last known; before the first one, when this life began
	told   bool          // the log says that there is no goose
	ended  bool          // this agent is no longer the goose, and the log does not have it yet
	// cause is the reason why this agent's own lead ends, and endedAs the same for the
	// history; deposed: another agent showed a higher term.
	cause, endedAs string
	deposed        bool
	// handedOver, resigned and died are the last terms whose goose handed over, resigned, and
	// left a last will.
	handedOver, resigned, died uint64
}

// begin starts a life: no goose is known.
func (s *succession) begin(now time.Duration) { *s = succession{seenAt: now} }

// heard records messages that explain why a goose changes.
func (s *succession) heard(msg *election.Message) {
	switch {
	case msg.Kind == election.VoteRequest && msg.TransferTerm != 0:
		s.handedOver = msg.TransferTerm
	case msg.Kind == election.TimeoutNow:
		s.handedOver = msg.Term
	case msg.Kind == election.Resign && msg.Seq == member.WillSeq:
		s.died = msg.Term
	case msg.Kind == election.Resign:
		s.resigned = msg.Term
	}
}

// gooseOf returns the goose that readers see, and its term.
func (l *life) gooseOf(v *member.View) (election.ID, uint64) {
	if v.Leased {
		return l.id, v.Record.Term
	}
	return v.Goose, v.GooseTerm
}

// follow compares v with what was logged last, and logs a new goose.
func (at *local) follow(now time.Duration, v *member.View) {
	s, l := &at.succession, at.l
	goose, term := l.gooseOf(v)
	seenAt := now
	if goose != l.id && v.HeardAt != 0 {
		seenAt = v.HeardAt
	}
	if goose == s.goose && term == s.term {
		if !goose.IsZero() {
			s.seenAt = seenAt
		}
		return
	}
	if goose.IsZero() { // tellGooseless logs it if it lasts
		if s.goose.IsZero() {
			return
		}
		at.chronicleEnd(now, s.seenAt, at.guessEnd(0), "", false)
		s.goose, s.ended = goose, s.last == l.id
		return
	}
	if s.goose == l.id && goose != l.id {
		s.goose, s.ended = goose, true
	}
	token := v.GooseToken
	if goose == l.id {
		token = v.Token
	}
	log, without := at.logger(), max(0, now-s.seenAt).Round(time.Millisecond)
	args := []any{"goose", l.nameOf(goose), "term", term}
	again := goose == s.last && term == s.term
	if !again && s.last != l.id {
		at.chronicleEnd(now, s.seenAt, at.guessEnd(token), "", false)
	}
	switch {
	case again && s.ended:
		log.Warn("goose again: a majority answers again", append(args, "without_goose", without)...)
	case again && s.told:
		log.Info("goose again", append(args, "without_goose", without)...)
	case again: // a few heartbeats were lost
	case s.ended && goose != l.id:
		at.tellEnded(goose, term)
	case s.last.IsZero():
		if s.told {
			args = append(args, "without_goose", without)
		}
		log.Info("new goose", args...)
	default:
		args = append(args, "previous", l.nameOf(s.last), "without_goose", without)
		log.Info("new goose", append(args, "reason", at.whyChanged(goose))...)
	}
	s.goose, s.last, s.term, s.token, s.seenAt, s.told, s.ended = goose, goose, term, token, seenAt, false, false
	s.goesOn()
	at.chronicleGoose(now, goose, token, again)
}

// goesOn clears the reasons: this agent's lead does not end after all.
func (s *succession) goesOn() { s.deposed, s.cause, s.endedAs = false, "", "" }

// whyChanged says why the last goose is no longer the goose.
func (at *local) whyChanged(next election.ID) string {
	s, l := &at.succession, at.l
	last := l.nameOf(s.last)
	switch {
	case s.last == l.id && s.cause != "":
		return s.cause
	case s.handedOver == s.term:
		return last + " handed over"
	case s.resigned == s.term:
		return last + " resigned"
	case s.died == s.term:
		return last + " died"
	case s.goose.IsZero():
		return last + " was not heard for a lease"
	}
	return fmt.Sprintf("%s was elected in a later term", l.nameOf(next))
}

// tellEnded logs that this agent's lead has ended. next is the new goose; zero: none yet.
func (at *local) tellEnded(next election.ID, term uint64) {
	s, l := &at.succession, at.l
	reason := s.cause
	if s.deposed && !next.IsZero() {
		reason = fmt.Sprintf("another agent was elected in term %d", term)
	}
	if e := l.member.Named(at.name); reason == "" && e != nil && e.HandingOver() {
		reason = "it handed over"
	}
	if reason == "" {
		reason = "no majority of the voters answered within a lease"
	}
	at.chronicleEnd(l.now(), s.seenAt, at.ownEnd(), reason, true)
	args := []any{"term", s.term, "reason", reason}
	if !next.IsZero() {
		args = append(args, "goose", l.nameOf(next))
	}
	at.logger().Info("no longer goose", args...)
	s.ended, s.told = false, true
	s.goesOn()
}

// tellGooseless logs once that there is no goose, after a time in which an election
// should have ended.
func (at *local) tellGooseless(now time.Duration) {
	s, l := &at.succession, at.l
	switch none := now - s.seenAt; {
	case !s.goose.IsZero():
	case s.ended && none >= l.cfg.Lease/2:
		at.tellEnded(election.ID{}, 0)
	case !s.told && s.last.IsZero() && at == l.main && none >= max(5*time.Second, 10*l.cfg.Lease):
		s.told = true
		if len(l.warnings.shown) > 0 { // the first one is the cause
			at.logger().Warn("no goose yet", "reason", l.warnings.shown[0])
		}
	case !s.told && !s.last.IsZero() && none >= max(time.Second, 2*l.cfg.Lease):
		s.told = true
		at.logger().Warn("no goose", "previous", l.nameOf(s.last), "term", s.term, "reason", at.whyChanged(election.ID{}))
	}
}

// ends records why this agent's lead of an election is about to end: ended for the
// history, cause for people.
func (l *life) ends(election, ended, cause string) {
	at := l.localOf(election)
	if s := &at.succession; s.last == l.id && s.cause == "" {
		s.cause, s.endedAs = cause, ended
	}
}

// endsAll is ends for every election.
func (l *life) endsAll(ended, cause string) {
	for _, e := range l.member.Elections() {
		l.ends(e.Name(), ended, cause)
	}
}
