package agent

import (
	"context"
	"fmt"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

// nameWindow is for how long after its start an agent still gives way to an
// elder one of its name; from then on it is an elder itself.
const nameWindow = 3 * time.Second

// checkName gives way to another agent of this one's name that answers a
// ping: the second one exits. Of two that have just started the lower id stays.
func (l *life) checkName(now time.Duration) error {
	if !l.settled && now-l.born > nameWindow {
		l.settled = true
		l.tellMeta()
	}
	l.nameWarned = false
	for _, p := range l.peers {
		if p.ID == l.id || p.Meta.Name != l.cfg.Name || p.State != api.StateAlive {
			continue
		}
		l.nameWarned = true
		if l.settled || l.pinging || !p.Meta.Settled && l.id.Compare(p.ID) < 0 {
			continue
		}
		l.pinging = l.gossip.join.background(func(ctx context.Context) {
			h := nameHolder{peer: p, answers: l.gossip.Answers(p)}
			select {
			case l.pinged <- h:
			case <-ctx.Done():
			}
		})
	}
	return nil
}

// nameHolder is another agent of our name, and whether it answers.
type nameHolder struct {
	peer
	answers bool
}

// nameTaken ends this agent when the holder of its name answers. One that does
// not is dead, or soon will count as such: its name is ours then.
func (l *life) nameTaken(h nameHolder) error {
	l.pinging = false
	if !h.answers {
		return nil
	}
	return &TakenError{What: "name", Value: l.cfg.Name, Holder: h.Addr.String(), Flag: "name"}
}

// TakenError says that something an agent needs for itself is another's.
type TakenError struct {
	What   string // name, port, data directory
	Value  string
	Holder string // where the other one is; "" when unknown
	Flag   string // the flag that chooses another
	Cause  error  // what the system said; nil: nothing
}

// Unwrap gives the cause.
func (e *TakenError) Unwrap() error { return e.Cause }

// Error says what is taken, by whom, and what to change.
func (e *TakenError) Error() string {
	by := ""
	if e.Holder != "" {
		by = " by the agent at " + e.Holder
	}
	return fmt.Sprintf("%s %s is taken%s: choose another with --%s", e.What, e.Value, by, e.Flag)
}

// forgetNames drops what gossip has forgotten, but for the voters.
func (l *life) forgetNames() {
	for id := range l.names {
		if !l.isKnown(id) {
			delete(l.names, id)
		}
	}
}

// nameOf gives an agent's name, or the start of its id while it is unknown.
func (l *life) nameOf(id election.ID) string {
	if id == l.id {
		return l.cfg.Name
	}
	if name := l.names[id]; name != "" {
		return name
	}
	return shortName(diskNames(l.disk)[id], id)
}

// shortName stands for an agent whose name may be unknown: "".
func shortName(name string, id election.ID) string {
	if name == "" {
		return id.String()[:8]
	}
	return name
}
