package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

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
	slices.SortFunc(ids, election.ID.Compare)
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
	config := election.Config{ConfigID: election.ConfigID{Version: 1}}
	for _, id := range ids {
		config = config.With(election.Voter{ID: id, Priority: 100})
	}
	h := sha256.New()
	h.Write(rec.FlockID[:])
	h.Write(binary.BigEndian.AppendUint64(nil, rec.Generation.Number+1))
	for _, id := range ids {
		h.Write(id[:])
	}
	rec.Generation = election.Generation{Number: rec.Generation.Number + 1, Tag: binary.BigEndian.Uint64(h.Sum(nil))}
	rec.Config, rec.Term, rec.Vote = config, rec.Term+1, election.ID{}
	setRecord(&st, rec)
	if err := disk.Save(st); err != nil {
		return err
	}
	return disk.Close()
}
