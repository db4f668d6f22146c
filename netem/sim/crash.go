package sim

import (
	"errors"
	"slices"
	"time"

	"duckduckgoose/netem/schedule"
)

// effect is a kind of effect that a life has on the world. After each, and in
// the middle of those on the disk, it may crash.
type effect uint8

const (
	noEffect     effect = iota
	anyEffect           // the next one, whatever it is
	inWrite             // in the middle of writing slot A
	inSync              // in the middle of syncing it
	afterSave           // a record is durable
	afterSend           // a datagram has left
	afterGrant          // a lease was shown to readers and holders
	afterRetract        // they were told that it is over
	afterPublish        // readers see another state
	inSettle            // in the middle of writing slot B
	afterSettle         // slot B is durable too
)

// effectNamed gives the effect of a word of the schedules.
func effectNamed(word string) effect { return effect(1 + slices.Index(schedule.Effects, word)) }

// crashPoint is when an agent is to crash: with an effect, or so many effects later.
type crashPoint struct {
	at    effect // noEffect: never
	more  int
	met   bool
	power bool // the machine goes too
	back  time.Duration
}

// errCrashed is what a disk says while its process crashes.
var errCrashed = errors.New("crashed")

// reaches counts an effect, and tells whether the life crashes there: then
// nothing that follows in this input has an effect.
func (l *life) reaches(e effect) bool {
	if l.struck {
		return true
	}
	l.effects++
	p := &l.armed
	switch {
	case p.at == noEffect:
		return false
	case p.met:
		p.more--
	case p.at == e || p.at == anyEffect:
		p.met = true
	default:
		return false
	}
	l.struck = p.more == 0
	return l.struck
}

// tears has the disk stop in the middle of an operation from now, if the life
// crashes there.
func (l *life) tears(e effect, op int) {
	switch op += l.disk.Ops(); {
	case l.struck || !l.reaches(e):
	case l.armed.power:
		l.disk.CutAt(op)
	default:
		l.disk.FailAt(op, errCrashed)
	}
}

// strike is the crash that was armed. The input in which it came is over.
func (s *Sim) strike(l *life) {
	p := l.armed
	s.stats.Struck["crash-at"]++
	s.note(l.agent, "crashes at "+schedule.Effects[p.at-1], uint64(l.effects))
	l.disk.Fail(nil)
	s.crash(l.agent, p.power)
	s.after(p.back, func() { s.start(l.agent) })
}
