package election

// mcPerms are the ways to rename three agents; the first changes nothing.
var mcPerms = [6][mcAgents]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

func mcID(i int) ID { return idOf(mcNames[i]) }

// mcIndex gives the agent's number; -1 for the zero ID.
func mcIndex(id ID) int {
	if id.IsZero() {
		return -1
	}
	return int(id[0] - 'a')
}

// mcRename gives the agent's name after the renaming p.
func mcRename(id ID, p int) ID {
	if id.IsZero() {
		return id
	}
	return mcID(mcPerms[p][mcIndex(id)])
}

func mcPermuteConfig(c *Config, p int) {
	out := Config{ConfigID: c.ConfigID, Table: mcRenameTable(c.Table, p)}
	for _, v := range c.Members() {
		out = out.With(Voter{mcRename(v.ID, p), v.Priority})
	}
	*c = out
}

// mcRenameTable renames the agents in a table of a model, which counts what each
// has added to it.
func mcRenameTable(d Digest, p int) (out Digest) {
	for i := range mcAgents {
		out[mcPerms[p][i]] = d[i]
	}
	return out
}

func mcPermuteRecord(r *Record, p int) {
	r.Vote = mcRename(r.Vote, p)
	mcPermuteConfig(&r.Config, p)
}

func mcPermuteMessage(m *Message, p int) {
	m.From, m.To, m.TransferFrom = mcRename(m.From, p), mcRename(m.To, p), mcRename(m.TransferFrom, p)
	mcPermuteConfig(&m.Config, p)
}

// permute renames every agent that an agent's state names.
func (a *mcAgent) permute(p int) {
	n := &a.node
	for _, id := range []*ID{
		&n.set.ID, &n.leader, &n.news.Goose, &n.heard.leader, &n.promise.To, &n.resigned.To, &n.transferFrom, &n.gaveUpTo, &n.former,
		&n.pending.Voter.ID, &a.ghost.vote,
	} {
		*id = mcRename(*id, p)
	}
	n.pending.Table = mcRenameTable(n.pending.Table, p)
	a.ghost.begun.table = mcRenameTable(a.ghost.begun.table, p)
	mcPermuteRecord(&n.rec, p)
	mcPermuteRecord(&a.disk, p)
	for i := range n.peers[:n.npeers] {
		n.peers[i].id = mcRename(n.peers[i].id, p)
	}
	mcSortPeers(n)
}

// mcSortPeers puts the table of peers in the order of their names: it is a set.
func mcSortPeers(n *Node) {
	for i := 1; i < int(n.npeers); i++ {
		for j := i; j > 0 && n.peers[j].id.Compare(n.peers[j-1].id) < 0; j-- {
			n.peers[j], n.peers[j-1] = n.peers[j-1], n.peers[j]
		}
	}
}
