package check

// diskKey names what one disk shows of one election (P6).
type diskKey struct {
	agent string
	flockKey
}

// record checks that an agent forgets nothing that it has shown: generations never fall,
// nor do terms within a generation; a vote stays for its term; configs never get older.
func (c *Checker) record(e *Event) *Violation {
	k := diskKey{e.Agent, flockKey{e.Flock, e.Election}}
	r, old := e.Record, c.disks[k]
	same := r.Generation == old.Generation && r.Term == old.Term
	if r.Vote == "" && same {
		r.Vote = old.Vote // not seen, or cleared: the next one tells
	}
	if r.Mark == 0 && r.Generation == old.Generation {
		r.Mark = old.Mark // not seen
	}
	c.disks[k] = r
	switch {
	case r.Generation < old.Generation:
		return broken("P6", e, "%s shows generation %d after %d", e.Agent, r.Generation, old.Generation)
	case r.Generation == old.Generation && r.Term < old.Term: // an election that a recovery founds anew begins at term 0
		return broken("P6", e, "%s shows term %d after %d", e.Agent, r.Term, old.Term)
	case r.Generation == old.Generation && r.Mark < old.Mark:
		return broken("P6", e, "%s shows mark %d after %d", e.Agent, r.Mark, old.Mark)
	case same && old.Vote != "" && r.Vote != old.Vote:
		return broken("P1", e, "%s voted for %s and for %s in term %d", e.Agent, old.Vote, r.Vote, r.Term)
	case r.Config.Voters == "" && old.Config.Voters == "":
	case keyOf(&r).compare(keyOf(&old)) < 0:
		return broken("P6", e, "%s shows config (%d, %d) after (%d, %d) of generation %d",
			e.Agent, r.Config.Term, r.Config.Version, old.Config.Term, old.Config.Version, old.Generation)
	case r.Config.Term > r.Term:
		return broken("P6", e, "%s shows config (%d, %d) at term %d", e.Agent, r.Config.Term, r.Config.Version, r.Term)
	}
	return nil
}
