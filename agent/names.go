package agent

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/why"
	"duckduckgoose/agent/member"
)

// nameWindow is for how long after its start an agent still gives way to an
// elder one of its name; from then on it is an elder itself.
const nameWindow = 3 * time.Second

// withdrawWait bounds how long a refused agent waits until the others have heard
// that it stops. If they do not, they find out.
const withdrawWait = time.Second

// nameCheck is how this agent comes to keep its name.
type nameCheck struct {
	settled bool // it keeps the name against others
	shared  bool // another live agent has it too
	pinging bool // that one
	pinged  chan nameHolder
}

// checkName gives way to another agent of this one's name that answers a
// ping: the second one exits. Of two that have just started the lower id stays.
func (l *life) checkName(now time.Duration) {
	n := &l.name
	if !n.settled && now-l.born > nameWindow {
		n.settled = true
		host{l}.TellGossip(l.member.Meta())
	}
	n.shared = false
	for _, p := range l.gossip.Namesakes() {
		n.shared = true
		if n.settled || n.pinging || !p.Meta.Settled && l.id.Compare(p.ID) < 0 {
			continue
		}
		n.pinging = l.gossip.Background(func(ctx context.Context) {
			h := nameHolder{Peer: p, answers: l.gossip.Answers(p)}
			select {
			case n.pinged <- h:
			case <-ctx.Done():
			}
		})
	}
}

// nameHolder is another agent of our name, and whether it answers.
type nameHolder struct {
	member.Peer
	answers bool
}

// nameTaken ends this agent when the holder of its name answers. One that does
// not is dead, or soon will count as such: its name is ours then.
func (l *life) nameTaken(h nameHolder) error {
	l.name.pinging = false
	if !h.answers {
		return nil
	}
	l.member.Silence(member.Stopped)
	l.gossip.Withdraw(withdrawWait)
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

// nameForFaults tells fault rules who is where.
func (l *life) nameForFaults() {
	f := l.faults.Load()
	if f == nil {
		return
	}
	byAddr := map[netip.AddrPort]string{}
	for _, p := range l.peers() {
		if p.State == member.Alive && p.ID != l.id {
			byAddr[p.Addr] = p.Meta.Name
		}
	}
	(*f).Learn(byAddr)
}

// nameOf gives an agent's name, or the start of its id while it is unknown.
func (l *life) nameOf(id election.ID) string {
	if id == l.id {
		return l.cfg.Name
	}
	if name := l.names[id]; name != "" {
		return name
	}
	return shortName(l.disk.Names()[id], id)
}

// shortName stands for an agent whose name may be unknown: "".
func shortName(name string, id election.ID) string {
	if name == "" {
		return id.String()[:8]
	}
	return name
}

// nameOrNone is nameOf, "" for nobody.
func (l *life) nameOrNone(id election.ID) string {
	if id.IsZero() {
		return ""
	}
	return l.nameOf(id)
}

// explained gives the error of a command in the words of a person.
func (l *life) explained(err error) error { return why.Refused(err, l.cfg.Name, l.nameOf) }
