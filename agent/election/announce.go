package election

import "time"

// News is the newest that a node knows of a goose: the round in which it last asked for
// promises. A leader's own is its last round.
type News struct {
	Goose ID // zero: none
	Term  uint64
	Round uint64
	Lease time.Duration // the promise asked
	At    time.Duration // when the heartbeat came here, less the time that it was with others
	Ages  [MaxVoters]uint8
	// relayed: an agent that is no voter has it from others (rule 30).
	relayed bool
}

// News returns the newest of a goose, to be passed on (rule 30).
func (n *Node) News() News { return n.news }

// Announcement returns the message that passes news on. The receiver has this node's
// config, unless config is set.
func (n *Node) Announcement(now time.Duration, config bool) Message {
	m := Message{
		Kind: Announce, Goose: n.news.Goose, GooseTerm: n.news.Term, Round: n.news.Round, Promise: n.news.Lease,
		Held: max(now-n.news.At, 0), Ages: n.news.Ages,
	}
	if config {
		m.Config = n.rec.Config
	}
	return n.stamped(m)
}

// handleAnnounce learns from another agent who the goose is (rule 30). It only changes
// what this node shows and passes on: no term, vote or promise. Voters believe the goose
// alone.
func (n *Node) handleAnnounce(now time.Duration, m *Message, fx *Effects) {
	newer := m.ConfigID.Compare(n.rec.Config.ConfigID)
	if newer > 0 {
		n.askConfig(now, m.From, fx)
	}
	lease := min(m.Promise, MaxPromise)
	if newer < 0 || n.rec.Config.Has(n.set.ID) || m.Goose == n.set.ID || m.Goose.IsZero() || newer == 0 && !n.rec.Config.Has(m.Goose) ||
		m.Held >= lease {
		return
	}
	next := News{Goose: m.Goose, Term: m.GooseTerm, Round: m.Round, Lease: lease, At: now - m.Held, Ages: m.Ages, relayed: true}
	if now < n.news.At+n.news.Lease && !next.follows(&n.news) {
		return
	}
	n.news = next
	if newer == 0 {
		n.takeAges(now, m)
	}
}

// follows reports whether news come after others: of a later term, or of a later round
// of the same goose.
func (w *News) follows(old *News) bool {
	return w.Term > old.Term || w.Term == old.Term && w.Goose == old.Goose && w.Round > old.Round
}

// askConfig asks the sender of a newer config for it, once a heartbeat.
func (n *Node) askConfig(now time.Duration, from ID, fx *Effects) {
	if now < n.seekAt {
		return
	}
	n.seekAt = now + n.set.Heartbeat
	n.send(from, Message{Kind: PreVoteRequest, NextTerm: n.rec.Term + 1}, fx)
}
