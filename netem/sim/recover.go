package sim

import (
	"duckduckgoose/agent/election"
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
		if err := recoverDisk(a, ids); err != nil {
			s.broke(err)
			return false
		}
	}
	for _, a := range kept {
		s.start(a)
	}
	return true
}

func recoverDisk(a *agent, ids []election.ID) error {
	a.disk.PowerOn()
	disk, err := a.open()
	if err != nil {
		return err
	}
	st := disk.State()
	rec, _ := recordOf(st)
	var config election.Config
	for _, id := range ids {
		config = config.With(election.Voter{ID: id, Priority: 100})
	}
	setRecord(&st, rec.Recovered(config))
	if err := disk.Save(st); err != nil {
		return err
	}
	return disk.Close()
}
