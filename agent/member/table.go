package member

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

const (
	// tableAskEvery is the pause between two questions to the goose while something is
	// wanted. Without success it grows, up to tableAskMost.
	tableAskEvery = 250 * time.Millisecond
	tableAskMost  = 5 * time.Second
	// tablesKept bounds the tables known besides the one in force.
	tablesKept = 4
	// wantedFor is how long the goose remembers what another agent asked for.
	wantedFor = 10 * time.Second
	// headStart is the lead of the first in line in a new election, so that all agents
	// have begun when the others would campaign.
	headStart = time.Second
)

// table is the flock's list of elections besides the default one. It only
// grows. The default election decides on it, and its config carries the table's
// digest (see election.Config): an election begins at this agent when the goose
// says that a majority of the voters has taken the table. Until then another
// goose may replace the table.
type table struct {
	entries []store.Election // by number, from 1; the record of a started one is its node's
	digest  election.Digest
	// known are tables heard of, by digest, whether in force or not.
	known map[election.Digest][]store.Election
	// proposed is this goose's own, as long as its change is under way.
	proposed []store.Election
	// missing caches the contested elections absent from table lookedAt.
	missing  []string
	lookedAt *election.Digest
	wanted   []wantedElection // by others
	promised time.Duration    // the longest promise that may still run in an ended election

	learning election.Digest // being asked for; zero: none
	asking   bool            // the goose is being asked
	askAt    time.Duration
	askWait  time.Duration
}

// wantedElection is one that another agent contests and the flock lacks.
type wantedElection struct {
	name string
	at   time.Duration
}

// TableQuestion is what an agent asks the goose, or an agent that showed a table.
type TableQuestion struct {
	Wanted []string `json:"wanted,omitempty"`
}

// TableAnswer is a table, and what the asked agent contests itself.
type TableAnswer struct {
	Entries   []TableEntry `json:"entries"`
	Committed bool         `json:"committed"` // the goose says: a majority has taken it
	// Generation is the generation that Committed is about: tables of two generations may
	// look alike.
	Generation election.Generation `json:"generation"`
	Contests   []string            `json:"contests,omitempty"`
}

// TableEntry is one election of a table.
type TableEntry struct {
	Name    string `json:"name"`
	Created uint64 `json:"created"`
}

// load takes the table from the disk.
func (t *table) load(st store.State) {
	t.entries = nil
	for _, e := range st.Elections {
		if e.Number != 0 {
			t.entries = append(t.entries, e)
		}
	}
	t.digest = store.TableOf(t.entries)
}

func (t *table) find(name string) *store.Election {
	for i := range t.entries {
		if t.entries[i].Name == name {
			return &t.entries[i]
		}
	}
	return nil
}

// learn keeps a table for when a config names it.
func (t *table) learn(entries []store.Election) election.Digest {
	digest := store.TableOf(entries)
	if t.known == nil || len(t.known) >= tablesKept {
		t.known = map[election.Digest][]store.Election{}
	}
	t.known[digest] = entries
	return digest
}

// contents returns a table by its digest, if it is known.
func (t *table) contents(d election.Digest) ([]store.Election, bool) {
	switch {
	case d.IsZero():
		return nil, true
	case d == t.digest:
		return t.entries, true
	case d == store.TableOf(t.proposed):
		return t.proposed, true
	}
	entries, ok := t.known[d]
	return entries, ok
}

func (t *table) want(name string, now time.Duration) {
	i := slices.IndexFunc(t.wanted, func(w wantedElection) bool { return w.name == name })
	switch {
	case i >= 0:
		t.wanted[i].at = now
	case len(t.wanted) < store.MaxElections:
		t.wanted = append(t.wanted, wantedElection{name, now})
	}
}

// waiting reports whether an election of the table has not begun here.
func (t *table) waiting() bool {
	return slices.ContainsFunc(t.entries, func(e store.Election) bool { return !e.Started })
}

// isOf reports whether the table belongs to a generation: tables of two may look alike.
func (t *table) isOf(generation election.Generation) bool {
	return len(t.entries) == 0 || t.entries[0].Record.Generation == generation
}

// read returns the table of an answer.
func (a *TableAnswer) read() ([]store.Election, error) {
	if len(a.Entries) >= store.MaxElections {
		return nil, fmt.Errorf("table of %d elections: at most %d", len(a.Entries), store.MaxElections-1)
	}
	entries := make([]store.Election, 0, len(a.Entries))
	for i, e := range a.Entries {
		if !store.ValidName(e.Name) || slices.ContainsFunc(entries, func(o store.Election) bool { return o.Name == e.Name }) {
			return nil, fmt.Errorf("table of elections: entry %d has no valid name, or one that is there twice", i+1)
		}
		entries = append(entries, store.Election{Number: uint64(i + 1), Name: e.Name, Created: e.Created})
	}
	return entries, nil
}

// lacksTable reports whether this agent must first learn a config's table. It takes the
// config when it is sent again.
func (m *Member) lacksTable(c *election.Config, from election.ID) bool {
	if c.N == 0 {
		return false
	}
	t := &m.table
	if _, ok := t.contents(c.Table); ok {
		return false
	}
	if t.learning.IsZero() && m.IsAlive(from) {
		t.learning = c.Table
		m.askTable(from, TableQuestion{}, func(got *TableAnswer, entries []store.Election) {
			m.table.learning = election.Digest{}
			if got != nil {
				m.table.learn(entries)
			}
		})
	}
	return true
}

// askTable asks an agent for its table; then gets nil if no answer came.
func (m *Member) askTable(to election.ID, q TableQuestion, then func(got *TableAnswer, entries []store.Election)) {
	m.host.AskTable(to, q, func(got *TableAnswer) {
		if got != nil {
			if entries, err := got.read(); err == nil {
				then(got, entries)
				return
			}
		}
		then(nil, nil)
	})
}

// AnswerTable returns the table to another agent, and records what it wants.
func (m *Member) AnswerTable(q TableQuestion) TableAnswer {
	n, t := m.node(), &m.table
	out := TableAnswer{Entries: []TableEntry{}, Contests: m.set.Elections}
	if n != nil {
		out.Committed = n.Committed() && n.Record().Config.Table == t.digest
		out.Generation = n.Generation()
	}
	for _, e := range t.entries {
		out.Entries = append(out.Entries, TableEntry{e.Name, e.Created})
	}
	if n != nil && n.Role() == election.Leader && len(q.Wanted) < store.MaxElections {
		now := m.host.Now()
		for _, name := range q.Wanted {
			if store.ValidName(name) && t.find(name) == nil {
				t.want(name, now)
			}
		}
		m.LookNow()
	}
	return out
}

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
	goose, self := m.Default().goose()
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
// elections anew.
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
