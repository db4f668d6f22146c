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

// nameWindow is how long after its start an agent exits if another one has its name.
// After that it keeps the name.
const nameWindow = 3 * time.Second

// withdrawWait is how long an agent that is refused its name waits until the others
// have heard that it stops. Others find out by probes.
const withdrawWait = time.Second

// nameCheck is the state of the check that no other agent has this agent's name.
type nameCheck struct {
	settled bool // it keeps the name against others
	shared  bool // another live agent has it too
	pinging bool // that one
	pinged  chan nameHolder
}

// checkName looks for another agent of this agent's name that answers a ping: the one
// that started later exits; of two that have just started, the one with the higher id.
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

// nameHolder is another agent of this agent's name, and whether it answers.
type nameHolder struct {
	member.Peer
	answers bool
}

// nameTaken ends this agent if the other agent of its name answers. If that one does
// not answer, it is dead, and this agent keeps the name.
func (l *life) nameTaken(h nameHolder) error {
	l.name.pinging = false
	if !h.answers {
		return nil
	}
	l.member.Silence(member.Stopped)
	l.gossip.Withdraw(withdrawWait)
	return &TakenError{What: "name", Value: l.cfg.Name, Holder: h.Addr.String(), Flag: "name"}
}

// TakenError says that another agent or program has the name, port or data directory.
type TakenError struct {
	What   string // name, port, data directory
	Value  string
	Holder string // where the other one is; "" when unknown
	Flag   string // the flag that chooses another
	Cause  error  // what the system said; nil: nothing
}

// Unwrap returns the cause.
func (e *TakenError) Unwrap() error { return e.Cause }

// Error says what is taken, by whom, and what to change.
func (e *TakenError) Error() string {
	by := ""
	if e.Holder != "" {
		by = " by the agent at " + e.Holder
	}
	return fmt.Sprintf("%s %s is taken%s: choose another with --%s", e.What, e.Value, by, e.Flag)
}

// nameForFaults tells the network emulator the names of agents by address.
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

// nameOf returns an agent's name, or the start of its id while it is unknown.
func (l *life) nameOf(id election.ID) string {
	if id == l.id {
		return l.cfg.Name
	}
	if name := l.names[id]; name != "" {
		return name
	}
	return shortName(l.disk.Names()[id], id)
}

// shortName returns name, or the start of the id if name is "".
func shortName(name string, id election.ID) string {
	if name == "" {
		return id.String()[:8]
	}
	return name
}

// nameOrNone is nameOf; "" for the zero id.
func (l *life) nameOrNone(id election.ID) string {
	if id.IsZero() {
		return ""
	}
	return l.nameOf(id)
}

// explained turns the error of a command into one for people.
func (l *life) explained(err error) error { return why.Refused(err, l.cfg.Name, l.nameOf) }
