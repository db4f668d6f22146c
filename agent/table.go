package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

const (
	// tableTopic asks an agent for the table of elections, and tells it what is wanted.
	tableTopic = "elections"
	// tableAskEvery spaces the questions to the goose while something is wanted;
	// without success they become rarer, down to tableAskMost.
	tableAskEvery = 250 * time.Millisecond
	tableAskMost  = 5 * time.Second
	// tablesKept bounds the tables known besides the one in force.
	tablesKept = 4
	// wantedFor is how long the goose keeps what another asked for.
	wantedFor = 10 * time.Second
	// headStart is what the first in line of a new election has, so that all agents
	// have begun when the others would campaign.
	headStart = time.Second
)

// table is the flock's list of elections beside the default one, which only grows. It is
// agreed upon by the default election, whose config carries its digest (see
// election.Config): an election begins at this agent when the goose says that
// a majority of the voters has taken the table, not before; until then another
// goose may override it.
type table struct {
	entries []store.Election // by number, from 1. The record of one that has started is its node's
	digest  election.Digest
	// known are tables heard of, by digest, whether in force or not.
	known map[election.Digest][]store.Election
	// proposed is this goose's own, for as long as its change is under way.
	proposed []store.Election
	// missing is what this agent contests and the table that lookedAt names lacks.
	missing  []string
	lookedAt *election.Digest
	wanted   map[string]time.Duration // what others asked for, and when
	promised time.Duration            // the longest promise that may run in an election that has ended

	learning election.Digest // being asked for; zero: nothing is
	asking   bool            // the goose is
	askAt    time.Duration
	askWait  time.Duration
}

// tableQuestion is what an agent asks the goose, or whoever showed a table.
type tableQuestion struct {
	Wanted []string `json:"wanted,omitempty"`
}

// tableAnswer is a table, and what the asked agent contests itself.
type tableAnswer struct {
	Entries   []tableEntry `json:"entries"`
	Committed bool         `json:"committed"` // the goose says: a majority has taken it
	// Generation is what Committed speaks of: tables of two may look alike.
	Generation election.Generation `json:"generation"`
	Contests   []string            `json:"contests,omitempty"`
}

type tableEntry struct {
	Name    string `json:"name"`
	Created uint64 `json:"created"`
}

// load takes the table of the disk.
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

// contents gives a table by its digest, if it is at hand.
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

// read makes a table of an answer.
func (a *tableAnswer) read() ([]store.Election, error) {
	if len(a.Entries) >= store.MaxElections {
		return nil, fmt.Errorf("table of %d elections: at most %d", len(a.Entries), store.MaxElections-1)
	}
	entries := make([]store.Election, 0, len(a.Entries))
	for i, e := range a.Entries {
		if !ValidElection(e.Name) || slices.ContainsFunc(entries, func(o store.Election) bool { return o.Name == e.Name }) {
			return nil, fmt.Errorf("table of elections: entry %d is none, or is there twice", i+1)
		}
		entries = append(entries, store.Election{Number: uint64(i + 1), Name: e.Name, Created: e.Created})
	}
	return entries, nil
}

// unknownTable tells of a config whose table this agent must learn first. It is
// then taken when it is shown again.
func (l *life) unknownTable(c *election.Config, from election.ID) bool {
	if c.N == 0 {
		return false
	}
	if _, ok := l.table.contents(c.Table); ok {
		return false
	}
	p, ok := l.gossip.alivePeer(from.String())
	if ok && l.table.learning.IsZero() {
		l.table.learning = c.Table
		l.askTable(p, tableQuestion{}, func(l *life, got *tableAnswer, entries []store.Election) {
			l.table.learning = election.Digest{}
			if got != nil {
				l.table.learn(entries)
			}
		})
	}
	return true
}

// askTable asks an agent for its table; then runs on the loop, with nil when there was no answer.
func (l *life) askTable(p peer, q tableQuestion, then func(l *life, got *tableAnswer, entries []store.Election)) {
	g := l.gossip
	started := g.join.background(func(over context.Context) {
		ctx, cancel := context.WithTimeout(over, askWait)
		defer cancel()
		var got *tableAnswer
		var entries []store.Election
		if body, err := g.asks.ask(ctx, p, tableTopic, q); err == nil {
			var answer tableAnswer
			if err = json.Unmarshal(body, &answer); err == nil {
				entries, err = answer.read()
			}
			if err == nil {
				got = &answer
			}
		}
		_ = l.do(over, func(now *life) error { // a life that ends needs none
			if now == l {
				then(l, got, entries)
			}
			return nil
		})
	})
	if !started {
		then(l, nil, nil)
	}
}

// answerTable tells others the table, and takes what they want.
func (a *Agent) answerTable(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var q tableQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	return ask(ctx, a, func(l *life, answer func(tableAnswer, error)) error {
		out := tableAnswer{
			Entries: []tableEntry{}, Contests: a.cfg.Elections,
			Committed: l.node != nil && l.node.Committed() && l.node.Record().Config.Table == l.table.digest,
		}
		if l.node != nil {
			out.Generation = l.node.Generation()
		}
		for _, e := range l.table.entries {
			out.Entries = append(out.Entries, tableEntry{e.Name, e.Created})
		}
		if l.node != nil && l.node.Role() == election.Leader && len(q.Wanted) < store.MaxElections {
			for _, name := range q.Wanted {
				if ValidElection(name) && l.table.find(name) == nil && len(l.table.wanted) < store.MaxElections {
					l.table.want(name, l.now())
				}
			}
			l.choresAt = 0
		}
		answer(out, nil)
		return nil
	})
}

func (t *table) want(name string, now time.Duration) {
	if t.wanted == nil {
		t.wanted = map[string]time.Duration{}
	}
	t.wanted[name] = now
}

// missing gives the elections that this agent contests and the flock does not have yet.
func (l *life) missing() []string {
	t := &l.table
	if t.lookedAt != nil && *t.lookedAt == t.digest {
		return t.missing
	}
	t.missing = nil
	for _, name := range l.cfg.Elections {
		if t.find(name) == nil {
			t.missing = append(t.missing, name)
		}
	}
	digest := t.digest
	t.lookedAt = &digest
	return t.missing
}

// waiting tells whether some election of the table has not begun here.
func (t *table) waiting() bool {
	return slices.ContainsFunc(t.entries, func(e store.Election) bool { return !e.Started })
}

// tendTable founds, as the goose, what is wanted; others ask the goose for it.
func (l *life) tendTable(now time.Duration) {
	missing := l.missing()
	goose, self := l.knownGoose()
	if self {
		l.foundElections(now, missing)
		if l.table.waiting() && l.node.Committed() {
			l.startElections()
		}
		return
	}
	t := &l.table
	if len(missing) == 0 && !t.waiting() {
		t.askWait = 0
		return
	}
	p, ok := l.gossip.alivePeer(goose.String())
	if !ok || t.asking || now < t.askAt {
		return
	}
	t.asking = true
	t.askWait = min(max(2*t.askWait, tableAskEvery), tableAskMost)
	t.askAt = now + t.askWait
	l.askTable(p, tableQuestion{Wanted: missing}, func(l *life, got *tableAnswer, entries []store.Election) {
		l.table.asking = false
		if got == nil {
			return
		}
		if digest := l.table.learn(entries); got.Committed && got.Generation == l.node.Generation() && digest == l.table.digest && l.table.waiting() {
			l.startElections()
		}
	})
}

// foundElections makes the goose add to the table what is wanted.
func (l *life) foundElections(now time.Duration, own []string) {
	t := &l.table
	maps.DeleteFunc(t.wanted, func(name string, at time.Duration) bool {
		return now-at >= wantedFor || t.find(name) != nil
	})
	if len(own) == 0 && len(t.wanted) == 0 || l.handing != nil || !l.node.Committed() {
		return
	}
	names := slices.Concat(own, slices.Collect(maps.Keys(t.wanted)))
	slices.Sort(names)
	entries := slices.Clone(t.entries)
	created := l.node.Record().Config.Version + 1
	for _, name := range slices.Compact(names) {
		if len(entries) == store.MaxElections-1 {
			l.problem(fmt.Sprintf("election %q is not founded: this flock has %d elections already, and that is the most", name, len(entries)))
			break
		}
		entries = append(entries, store.Election{Number: uint64(len(entries) + 1), Name: name, Created: created})
	}
	if len(entries) == len(t.entries) {
		return
	}
	before := t.proposed
	t.proposed = entries
	l.step(election.Change{Table: store.TableOf(entries)})
	if l.fx.Err != nil {
		t.proposed = before // which may be the one that the node is about to take
		l.log.Debug("founding of elections refused", "error", l.fx.Err)
	}
}

// takeTable follows the default election's config to another table. Elections
// that are new are reserved: with the voters of the config that created
// them, if this is that one; else their goose shows them.
func (l *life) takeTable() {
	rec := l.node.Record()
	t := &l.table
	if rec.Config.Table == t.digest && t.isOf(rec.Generation) {
		return
	}
	contents, ok := t.contents(rec.Config.Table)
	if !ok { // see unknownTable: it would have been asked for
		l.broken = fmt.Errorf("a config names table %s of elections, which is not at hand: this is a bug, and the agent stops before it saves that", rec.Config.Table)
		return
	}
	next := slices.Clone(contents)
	same := 0 // so many stay
	for same < min(len(next), len(t.entries)) && isSame(&t.entries[same], &next[same], rec.Generation) {
		next[same] = t.entries[same]
		same++
	}
	l.dropElections(uint64(same))
	for i := same; i < len(next); i++ {
		e := &next[i]
		e.Started = false
		e.Record = election.Record{FlockID: rec.FlockID, Generation: rec.Generation, PromiseMax: max(rec.PromiseMax, t.promised)}
		if e.Created == rec.Config.Version {
			e.Record.Config = election.Config{ConfigID: election.ConfigID{Version: 1}, N: rec.Config.N, Voters: rec.Config.Voters}
		}
	}
	t.entries, t.digest = next, rec.Config.Table
	l.choresAt = 0
}

// isOf tells whether the table is of a generation: those of two may look alike.
func (t *table) isOf(generation election.Generation) bool {
	return len(t.entries) == 0 || t.entries[0].Record.Generation == generation
}

// isSame tells whether an entry of another table is this one. A recovery founds
// all elections anew.
func isSame(a, b *store.Election, generation election.Generation) bool {
	return a.Name == b.Name && a.Created == b.Created && a.Record.Generation == generation
}

// dropElections ends this life's part in the elections above a number. Those
// have begun only if the flock was recovered since.
func (l *life) dropElections(above uint64) {
	for i, c := range l.contests {
		if c.number <= above {
			continue
		}
		for _, gone := range l.contests[i:] {
			gone.log().Warn("the election ends here: the flock's table of elections is another one now")
			gone.silence(stopLost)
			rec := gone.node.Record()
			l.table.promised = max(l.table.promised, rec.PromiseMax)
			gone.endHandoverOf("the election has ended")
			gone.seat.board.post(l.idleStatusOf(gone.seat.name), 0, l.cfg.Lease)
		}
		l.touched = slices.DeleteFunc(l.touched, func(c *contest) bool { return c.number > above })
		l.contests = l.contests[:i:i]
		return
	}
}

// startElections begins those of the table that have not begun.
func (l *life) startElections() {
	for i := range l.table.entries {
		if e := &l.table.entries[i]; !e.Started {
			e.Started = true
			l.log.Info("an election begins", "election", e.Name)
			l.startElection(e, e.Record.Generation.Number == 0) // before a recovery this disk may have promised something
		}
	}
}

// startElection takes part in an election. fresh: this disk never did, and has
// promised nothing.
func (l *life) startElection(e *store.Election, fresh bool) {
	rec := e.Record
	rec.PromiseMax = max(rec.PromiseMax, l.cfg.Lease)
	c := &contest{l: l, seat: l.seatOf(e.Name), number: e.Number}
	set := l.settings()
	h := fnv.New64a()
	h.Write([]byte(e.Name))
	set.Salt = max(h.Sum64(), 1)
	set.Seed ^= set.Salt
	node := election.New(set, rec, l.now(), fresh)
	c.node = &node
	c.ended = l.leaving.started
	l.contests = append(l.contests, c)
	c.dirty = true // its record, and that it has begun, are saved before anything leaves
	if fresh && node.Rank() > 0 {
		c.notBefore = l.now() + headStart
	}
	c.syncHolders()
	c.keepInView()
	c.step(election.Tick{})
}

// contestOf gives this agent's part in an election by its number.
func (l *life) contestOf(number uint64) *contest {
	if number >= uint64(len(l.contests)) {
		return nil
	}
	return l.contests[number] // they begin in the order of their numbers
}

// rows gives the records of all elections as they are to be saved.
func (l *life) rows() []store.Election {
	rows := make([]store.Election, 0, 1+len(l.table.entries))
	rows = append(rows, store.Election{Record: l.node.Record()})
	for _, e := range l.table.entries {
		if c := l.contestOf(e.Number); c != nil {
			e.Record = c.node.Record()
		}
		rows = append(rows, e)
	}
	return rows
}
