package member

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

// headStart is the lead of the first in line in a new election, so that all agents have begun
// when the others would campaign.
const headStart = time.Second

// Missing returns the elections that this agent contests and the flock does not have
// yet.
func (m *Member) Missing() []string {
	t := &m.table
	if t.lookedAt != nil && *t.lookedAt == t.digest {
		return t.missing
	}
	t.missing = nil
	for _, name := range m.set.Elections {
		if t.find(name) == nil {
			t.missing = append(t.missing, name)
		}
	}
	t.lookedAt = new(t.digest)
	return t.missing
}

// tendTable founds the wanted elections, as the goose; other agents ask the goose for
// them.
func (m *Member) tendTable(now time.Duration) {
	missing := m.Missing()
	t := &m.table
	goose, self := m.Default().Goose(now)
	if self {
		m.foundElections(now, missing)
		if t.waiting() && m.node().Committed() {
			m.startElections()
		}
		return
	}
	if len(missing) == 0 && !t.waiting() {
		t.askWait = 0
		return
	}
	if t.asking || now < t.askAt || !m.IsAlive(goose) {
		return
	}
	t.asking = true
	t.askWait = min(max(2*t.askWait, tableAskEvery), tableAskMost)
	t.askAt = now + t.askWait
	m.askTable(goose, TableQuestion{Wanted: missing}, func(got *TableAnswer, entries []store.Election) {
		m.table.asking = false
		if got == nil {
			return
		}
		digest := m.table.learn(entries)
		if got.Committed && got.Generation == m.node().Generation() && digest == m.table.digest && m.table.waiting() {
			m.startElections()
		}
	})
}

// foundElections adds the wanted elections to the table, as the goose.
func (m *Member) foundElections(now time.Duration, own []string) {
	t, e := &m.table, m.Default()
	t.wanted = slices.DeleteFunc(t.wanted, func(w wantedElection) bool {
		return now-w.at >= wantedFor || t.find(w.name) != nil
	})
	if len(own) == 0 && len(t.wanted) == 0 || e.handover != nil || !e.node.Committed() {
		return
	}
	names := slices.Clone(own)
	for _, w := range t.wanted {
		names = append(names, w.name)
	}
	slices.Sort(names)
	entries := slices.Clone(t.entries)
	created := e.node.Record().Config.Version + 1
	for _, name := range slices.Compact(names) {
		if len(entries) == store.MaxElections-1 {
			m.host.Tell(Event{Kind: EventTooManyElections, Name: name, Agents: len(entries)})
			break
		}
		entries = append(entries, store.Election{Number: uint64(len(entries) + 1), Name: name, Created: created})
	}
	if len(entries) == len(t.entries) {
		return
	}
	before := t.proposed
	t.proposed = entries
	e.step(election.Change{Table: store.TableOf(entries)})
	if e.fx.Err != nil {
		t.proposed = before // which may be the one that the node is about to take
		m.host.Tell(Event{Kind: EventFoundingRefused, Err: e.fx.Err})
	}
}

// takeTable follows the default election's config to another table. A new election
// copies this config's voters if this config created it; otherwise it starts without
// voters and learns them from its goose.
func (m *Member) takeTable() {
	rec := m.node().Record()
	t := &m.table
	if rec.Config.Table == t.digest && t.isOf(rec.Generation) {
		return
	}
	contents, ok := t.contents(rec.Config.Table)
	if !ok { // see lacksTable: it would have been asked for
		m.broken = fmt.Errorf("a config names table %s of elections, which is not at hand: this is a bug, and the agent stops before it saves that", rec.Config.Table)
		return
	}
	next := slices.Clone(contents)
	same := 0 // how many stay
	for same < min(len(next), len(t.entries)) && isSame(&t.entries[same], &next[same], rec.Generation) {
		next[same] = t.entries[same]
		same++
	}
	m.dropElections(uint64(same))
	for i := same; i < len(next); i++ {
		e := &next[i]
		e.Started = false
		e.Record = election.Record{FlockID: rec.FlockID, Generation: rec.Generation, PromiseMax: max(rec.PromiseMax, t.promised)}
		if e.Created == rec.Config.Version {
			e.Record.Config = election.Config{ConfigID: election.ConfigID{Version: 1}, N: rec.Config.N, Voters: rec.Config.Voters}
		}
	}
	t.entries, t.digest = next, rec.Config.Table
	m.LookNow()
}

// isSame reports whether an entry of another table is this one. A recovery founds all
// elections again.
func isSame(a, b *store.Election, generation election.Generation) bool {
	return a.Name == b.Name && a.Created == b.Created && a.Record.Generation == generation
}

// dropElections ends this agent's part in the elections above a number. They have begun
// only if the flock was recovered since.
func (m *Member) dropElections(above uint64) {
	i := slices.IndexFunc(m.elections, func(e *Election) bool { return e.number > above })
	if i < 0 {
		return
	}
	for _, gone := range m.elections[i:] {
		m.host.Tell(Event{Kind: EventElectionEnds, Election: gone.name})
		gone.endLease(LeaseLost)
		rec := gone.node.Record()
		m.table.promised = max(m.table.promised, rec.PromiseMax)
		if h := gone.dropHandover(); h != nil {
			h.done(election.ID{}, refused(ElectionEnded))
		}
		for _, a := range gone.advances {
			a.done(refused(ElectionEnded))
		}
		if gone.will.term != 0 {
			m.host.LeaveWill(gone.name, nil)
		}
		gone.local.Close()
	}
	m.touched = slices.DeleteFunc(m.touched, func(e *Election) bool { return e.number > above })
	m.elections = m.elections[:i:i]
}

// startElections starts the elections of the table that have not begun.
func (m *Member) startElections() {
	for i := range m.table.entries {
		if e := &m.table.entries[i]; !e.Started {
			e.Started = true
			m.host.Tell(Event{Kind: EventElectionBegins, Election: e.Name})
			m.startElection(e, e.Record.Generation.Number == 0) // before a recovery this disk may have promised something
		}
	}
}

// startElection takes part in an election. fresh: this disk never did, and has promised
// nothing.
func (m *Member) startElection(entry *store.Election, fresh bool) {
	rec := entry.Record
	rec.PromiseMax = max(rec.PromiseMax, m.set.Lease)
	e := &Election{
		m: m, fx: &m.fx, local: m.host.Local(entry.Name), name: entry.Name, number: entry.Number,
		contested: slices.Contains(m.set.Elections, entry.Name), ended: m.stop.started, changed: true,
	}
	set := m.nodeSettings()
	h := fnv.New64a()
	h.Write([]byte(entry.Name))
	set.Salt = max(h.Sum64(), 1)
	set.Seed ^= set.Salt
	set.NoAges = true // only the default election replaces dead voters; without ages heartbeats can be packed
	now := m.host.Now()
	e.node = new(election.New(set, rec, now, fresh))
	m.elections = append(m.elections, e)
	e.dirty = true // its record, and that it has begun, are saved before anything leaves
	if fresh && e.node.Rank() > 0 {
		e.notBefore = now + headStart
	}
	m.HoldersChanged(e)
	e.keepInView(false)
	e.step(election.Tick{})
}

// numbered returns this agent's part in an election, by number.
func (m *Member) numbered(number uint64) *Election {
	if number >= uint64(len(m.elections)) {
		return nil
	}
	return m.elections[number] // they begin in the order of their numbers
}

// rows returns the records of all elections, to be saved.
func (m *Member) rows() []store.Election {
	rows := make([]store.Election, 0, 1+len(m.table.entries))
	rows = append(rows, store.Election{Record: m.node().Record()})
	for _, entry := range m.table.entries {
		if e := m.numbered(entry.Number); e != nil {
			entry.Record = e.node.Record()
		}
		rows = append(rows, entry)
	}
	return rows
}
