package agent

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

const (
	// peerLinesMost bounds the log lines about agents that come and go within peerLinesWindow:
	// thousands of agents may start at once.
	peerLinesMost   = 40
	peerLinesWindow = time.Minute
)

// peerLog logs who comes and goes.
type peerLog struct {
	states map[election.ID]member.PeerState
	before map[election.ID]string // the agents that an earlier life knew
	since  time.Duration          // when the window began
	lines  int                    // in the window
	untold int                    // changes beyond peerLinesMost
}

// logPeers logs what has changed in gossip's view.
func (l *life) logPeers(now time.Duration, changed []member.Peer) {
	c := &l.peerLog
	l.endPeerWindow(now)
	if c.states == nil {
		c.states = map[election.ID]member.PeerState{}
	}
	for i := range changed {
		p := &changed[i]
		was, known := c.states[p.ID]
		if p.ID == l.id || was == p.State {
			continue
		}
		c.states[p.ID] = p.State
		if c.lines++; c.lines > peerLinesMost {
			c.untold++
			continue
		}
		what := "agent failed"
		switch {
		case p.State == member.Left:
			what = "agent left"
		case p.State == member.Alive && known:
			what = "agent is back"
		case p.State == member.Alive && c.before[p.ID] != "":
			what = "agent found"
		case p.State == member.Alive:
			what = "agent joined"
		}
		l.log.Info(what, "name", p.Meta.Name, "id", p.ID, "addr", p.AddrText(), "alive", l.member.Alive())
	}
}

// endPeerWindow begins the next window, and sums up what the last one left out.
func (l *life) endPeerWindow(now time.Duration) {
	c := &l.peerLog
	if now-c.since < peerLinesWindow {
		return
	}
	if c.untold > 0 {
		l.log.Info("more agents came or went", "changes", c.untold, "alive", l.member.Alive())
	}
	c.since, c.lines, c.untold = now, 0, 0
}
