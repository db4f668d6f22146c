package election

// forge gives messages in an agent's name with terms above its own, and all else true.
func (h *mcHarness) forge(as *mcAgent, to ID) (all []Message) {
	if to == as.node.set.ID {
		return nil
	}
	for _, kind := range h.fault.forges {
		for jump := range uint64(2) {
			m := as.node.stamped(Message{Kind: kind, Round: 1, Promise: as.node.set.Lease})
			m.To, m.Term = to, m.Term+1+jump
			all = append(all, m)
		}
	}
	return all
}

// implausible lets an agent take a forged message of the last term of all: what
// comes of it, if anything does, is broken.
func (t *mcTable) implausible(a mcAgent, m Message) []*mcEntry {
	was := a
	m.From, m.To, m.Term = m.To, m.From, MaxTerm
	if sent := t.rules.do(&a, &m, nil); a == was && len(sent) == 0 {
		return nil
	}
	return []*mcEntry{{mv: mcMove{msg: &m}, next: t.agent(&a), broken: "forged: a term out of reach is heeded"}}
}

// forge visits every state that follows from one forged message: one that shows
// its receiver a higher term.
func (w *mcWorker) forge(g mcState) {
	g.past |= mcForged
	for i := range g.agents {
		for j, made := range w.view.of(g.agents[i]).forged {
			for _, m := range made {
				if w.view.message(m).Term > w.view.of(g.agents[j]).sum.term {
					w.follow(&g, j, w.view.deliver(g.agents[j], m))
				}
			}
		}
	}
}
