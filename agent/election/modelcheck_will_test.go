package election

// mcWills is the last will of an agent's process, as its warden knows it. What stands when
// the process dies is sent at some moment after that, once the holders are gone as well.
type mcWills struct {
	stands mcWill // written by the process that runs
	left   mcWill // of a process that has died, and not sent yet
	// revived: the agent is promised again to a leader whose will it has heard.
	revived bool
}

// mcWill is what a Resign says, and which holders its sender must wait for.
type mcWill struct {
	term   uint64 // 0: there is no will
	config ConfigID
	waits  bool // for holders
}

// write brings the will up to date with a step, before a holder gets a deadline by it.
func (m *mcTimed) write(a *mcAgent) {
	n, w := &a.node, &a.ghost.wills.stands
	switch {
	case !m.wills || n.role != Leader:
		*w = mcWill{}
		return
	case w.term != n.rec.Term || !m.fault.unlisted:
		w.waits = n.holders
	}
	w.term, w.config = n.rec.Term, n.rec.Config.ConfigID
}

func (w *mcWills) dies() {
	if w.stands.term != 0 {
		w.left = w.stands
	}
	w.stands = mcWill{}
}

// willMoves lists what comes of holders and wills.
func (m *mcTimed) willMoves(a *mcAgent) (mvs []mcMove) {
	w := &a.ghost.wills
	if m.holders && m.joins && !a.node.holders {
		mvs = append(mvs, mcMove{what: "has a holder attach"})
	}
	left := w.left
	if m.fault.early && w.stands.term != 0 {
		left = w.stands
	}
	if left.term == 0 {
		return mvs
	}
	if acts := a.ghost.handed != [2]Lease{}; !acts || !left.waits {
		return append(mvs, mcMove{what: "leaves its will"})
	}
	return append(mvs, mcMove{what: "has lost its holders"})
}

// will sends the will of the process before this one; with the fault, this one's.
func (a *mcAgent) will() (sent []Message) {
	w := &a.ghost.wills
	left := w.left
	if left.term == 0 {
		left = w.stands
	}
	w.left = mcWill{}
	for i := range mcAgents {
		if id := mcID(i); id != a.node.set.ID {
			m := a.node.stamped(Message{Kind: Resign})
			m.To, m.Term, m.ConfigID = id, left.term, left.config
			sent = append(sent, m)
		}
	}
	return sent
}

// mcRevived tells that a message has a node promise something to a leader whose last will,
// or Resign, it has heard in that term.
func mcRevived(was, n *Node, m *Message) bool {
	heard := Promise{To: m.From, Term: m.Term}
	return was.resigned == heard && n.promise != was.promise && n.promise.To == m.From && n.promise.Term == m.Term && n.promise.End > mcNow
}
