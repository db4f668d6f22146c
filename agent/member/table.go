package member

import (
	"fmt"
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
