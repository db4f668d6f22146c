package sim

import (
	"crypto/sha256"
	"fmt"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem/check"
)

// tableEvery is how many leases apart a goose adds to the table.
const tableEvery = 8

// steerTable has the goose decide on something beside the voters, as one does
// that is asked for more elections, and say so when a majority has taken it.
func (l *life) steerTable(now time.Duration) error {
	s := l.sim
	if !s.set.Tables || !l.node.Committed() {
		return nil
	}
	rec := l.node.Record()
	if !rec.Config.Table.IsZero() && l.agreed != rec.Config.ConfigID {
		l.agreed = rec.Config.ConfigID
		s.emit(s.seen(check.Agreed, l, rec))
	}
	if now < l.tableAt {
		return nil
	}
	l.tableAt = now + tableEvery*l.timing.Lease
	if err := l.step(election.Change{Table: s.tableAfter(rec.Config.Table, l.ident)}); err != nil {
		return err
	}
	if l.fx.Err == nil {
		s.stats.TableChanges++
	}
	return nil
}

// tableAfter makes a table of one more entry. No two geese make the same.
func (s *Sim) tableAfter(d election.Digest, who string) election.Digest {
	contents := fmt.Sprintf("%s%s%d ", s.tables[d], who, len(s.tables))
	sum := sha256.Sum256([]byte(contents))
	next := election.Digest(sum[:16])
	s.tables[next] = contents
	return next
}
