package sim

import (
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

// recoverFlock is `ddgoose recover` (rule 26), done as its text asks for: every
// agent is stopped, the kept ones' disks are changed, and they start.
func (s *Sim) recoverFlock(kept []*agent) bool {
	var ids []election.ID
	for _, a := range kept {
		if a.id.IsZero() || a.rec.Config.N == 0 {
			return false
		}
		ids = append(ids, a.id)
	}
	for _, a := range s.agents {
		if a.life != nil {
			s.crash(a, false)
		}
	}
	for _, a := range kept {
		s.onDisk(a, func(st *store.State) { recoverState(st, ids) })
	}
	for _, a := range kept {
		s.start(a)
	}
	return true
}

// recoverState changes a disk as package agent's recovery does: a new generation,
// with the voters named and no other election.
func recoverState(st *store.State, ids []election.ID) {
	rec := st.Elections[0].Record
	for _, e := range st.Elections {
		rec.PromiseMax = max(rec.PromiseMax, e.Record.PromiseMax)
	}
	var config election.Config
	for _, id := range ids {
		config = config.With(election.Voter{ID: id, Priority: 100})
	}
	rec = rec.Recovered(config)
	st.Elections = []store.Election{{Record: rec}}
}
