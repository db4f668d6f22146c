package check

import "cmp"

type diskKey struct {
	agent string
	flockKey
}

// disk is what one disk has shown of one flock (P6).
type disk struct {
	last Record
}

func (c *Checker) disk(e *Event) *disk {
	k := diskKey{e.Agent, flockKey{e.Flock, e.Election}}
	d := c.disks[k]
	if d == nil {
		d = &disk{}
		c.disks[k] = d
	}
	return d
}

// record holds that nothing shown is forgotten or contradicted: generation and,
// within one, term never fall, a vote of a term stays, a config is never older than before.
func (d *disk) record(e *Event) *Violation {
	r, old := e.Record, d.last
	same := r.Generation == old.Generation && r.Term == old.Term
	if r.Vote == "" && same {
		r.Vote = old.Vote // not seen, or cleared: the next one tells
	}
	newer := cmp.Or(cmp.Compare(r.Generation, old.Generation),
		cmp.Compare(r.Config.Term, old.Config.Term), cmp.Compare(r.Config.Version, old.Config.Version))
	d.last = r
	switch {
	case r.Generation < old.Generation:
		return broken("P6", e, "%s shows generation %d after %d", e.Agent, r.Generation, old.Generation)
	case r.Generation == old.Generation && r.Term < old.Term: // an election that a recovery founds anew begins at term 0
		return broken("P6", e, "%s shows term %d after %d", e.Agent, r.Term, old.Term)
	case same && old.Vote != "" && r.Vote != old.Vote:
		return broken("P1", e, "%s voted for %s and for %s in term %d", e.Agent, old.Vote, r.Vote, r.Term)
	case r.Config.Voters == "" && old.Config.Voters == "":
	case newer < 0:
		return broken("P6", e, "%s shows config (%d, %d) after (%d, %d) of generation %d",
			e.Agent, r.Config.Term, r.Config.Version, old.Config.Term, old.Config.Version, old.Generation)
	case r.Config.Term > r.Term:
		return broken("P6", e, "%s shows config (%d, %d) at term %d", e.Agent, r.Config.Term, r.Config.Version, r.Term)
	}
	return nil
}
