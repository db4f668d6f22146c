package election

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Recovered returns the record after a manual recovery: the next generation, with the
// voters of c (rule 26). It uses nothing of r's own config, so that all survivors get
// the same record. Terms begin at 0: forged messages may have used up the old ones. mark
// sets the mark; nil keeps it (rule 29).
func (r Record) Recovered(c Config, mark *uint64) Record {
	c.ConfigID, c.Table = ConfigID{Version: 1}, Digest{}
	r.Generation.Number++
	r.Generation.Tag = recoveryTag(r.FlockID, r.Generation.Number, &c, mark)
	if mark != nil {
		r.Mark = *mark
	}
	r.Config, r.Term, r.Vote = c, 0, ID{}
	return r
}

// RecoveredWith reports whether r comes from a recovery with the voters of c and this
// mark, and still has the voters.
func (r Record) RecoveredWith(c Config, mark *uint64) bool {
	same := slices.EqualFunc(r.Config.Members(), c.Members(), func(a, b Voter) bool { return a.ID == b.ID })
	return same && r.Generation.Number > 0 && r.Generation.Tag == recoveryTag(r.FlockID, r.Generation.Number, &c, mark)
}

// recoveryTag separates two recoveries of one number by their voters and priorities, and
// by the mark if they set it.
func recoveryTag(flock FlockID, number uint64, c *Config, mark *uint64) uint64 {
	h := sha256.New()
	h.Write(flock[:])
	h.Write(binary.BigEndian.AppendUint64(nil, number))
	for _, v := range c.Members() {
		h.Write(append(v.ID[:], v.Priority))
	}
	if mark != nil {
		h.Write(binary.BigEndian.AppendUint64(nil, *mark))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
