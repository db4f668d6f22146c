package election

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Recovered gives the record that a manual recovery makes of r: the next
// generation, with the voters of c and their priorities (rule 26). Nothing of r's
// own config enters, so that survivors whose configs differ come to one, and terms
// begin at 0: a forger may have used up those of the old generation.
func (r Record) Recovered(c Config) Record {
	c.ConfigID, c.Table = ConfigID{Version: 1}, Digest{}
	r.Generation.Number++
	r.Generation.Tag = recoveryTag(r.FlockID, r.Generation.Number, &c)
	r.Config, r.Term, r.Vote = c, 0, ID{}
	return r
}

// RecoveredWith tells whether r is of a recovery with the voters of c, and they
// are its voters still: of a flock that has changed since, it would be another disaster.
func (r Record) RecoveredWith(c Config) bool {
	same := slices.EqualFunc(r.Config.Members(), c.Members(), func(a, b Voter) bool { return a.ID == b.ID })
	return same && r.Generation.Number > 0 && r.Generation.Tag == recoveryTag(r.FlockID, r.Generation.Number, &c)
}

// recoveryTag tells two recoveries of one number apart: they named different
// voters, or other priorities.
func recoveryTag(flock FlockID, number uint64, c *Config) uint64 {
	h := sha256.New()
	h.Write(flock[:])
	h.Write(binary.BigEndian.AppendUint64(nil, number))
	for _, v := range c.Members() {
		h.Write(append(v.ID[:], v.Priority))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
