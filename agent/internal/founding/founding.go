// Package founding founds a flock of agents that were all started with the same
// --expect, by two-phase commit. It does no I/O: its caller passes the time,
// gossip's view and the messages of others.
package founding

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

const (
	// foundStable is how long gossip must have shown the same founders: about as long
	// as an agent too many, started with the others, takes to be seen.
	foundStable = 100 * time.Millisecond
	// foundResend spaces the repeats of a proposal and of an acceptance.
	foundResend = 100 * time.Millisecond
	// foundRetry is how long the next attempt waits after an abort, and five times as
	// long after a refusal.
	foundRetry = 200 * time.Millisecond
	// foundPatience is when a proposal is aborted that not all have accepted.
	foundPatience = 3 * time.Second
	// lostAfter is how long the coordinator must be silent before Status says what to
	// do if it never comes back.
	lostAfter = 5 * time.Minute
)

// The reasons of a FoundRefuse.
const (
	refusedBound  = 1 // bound to another founding
	refusedView   = 2 // sees other founders
	refusedExpect = 3 // expects another number
)

// Settings do not change during a Founder's life.
type Settings struct {
	Self   election.ID
	Expect int // --expect
	Voters int // --voters
}

// Fresh is a live agent without a flock, as gossip shows it.
type Fresh struct {
	ID       election.ID
	Name     string
	Expect   int
	Priority uint8
	Observer bool
}

// Founder founds a flock of --expect N agents by two-phase commit. The loop
// drives it. The agent with the lowest id coordinates. An acceptance is durable
// before it is sent, and binds until the coordinator has durably aborted that
// attempt. So at most one attempt of a set of founders can ever succeed.
type Founder struct {
	set      Settings
	durable  store.Founding
	fresh    []Fresh // sorted by id, this agent included
	since    time.Duration
	founders []Fresh       // at the time of the proposal
	proposed time.Duration // when this life made the current proposal; 0: it made none
	resendAt time.Duration
	retryAt  time.Duration
	accepted map[election.ID]bool
	founded  bool
	// waitsSince is since when this agent waits for the founding that it accepted.
	waitsSince time.Duration
}

// Effects is what the caller must do after a step, in this order.
type Effects struct {
	Save  *store.Founding // durable BEFORE anything is sent
	Send  []Word
	Found *election.Record // save it: the flock is founded
}

// Word is a message of the protocol and its receiver.
type Word struct {
	To   election.ID
	Word wire.Founding
}

// New continues from the durable state. It aborts a proposal of a former life,
// because nobody remembers who had accepted it.
func New(set Settings, durable store.Founding) *Founder {
	return &Founder{set: set, durable: durable, accepted: map[election.ID]bool{}}
}

// Bound reports whether this agent has accepted or proposed a founding.
func (f *Founder) Bound() bool { return !f.durable.FlockID.IsZero() }

// Obeys reports whether id is the flock whose founding this agent has accepted.
func (f *Founder) Obeys(id election.FlockID) bool { return f.Bound() && f.durable.FlockID == id }

// Set returns the founders of the current attempt, sorted.
func (f *Founder) Set() []election.ID { return slices.Clone(f.durable.Set) }

func (f *Founder) coordinates() bool { return f.Bound() && f.durable.Coordinator == f.set.Self }

// See takes gossip's view of the agents without a flock.
func (f *Founder) See(now time.Duration, fresh []Fresh) {
	if !slices.Equal(f.fresh, fresh) {
		f.fresh, f.since = slices.Clone(fresh), now
	}
}

// matching returns the founders if their number is the expected one and all expect
// the same. Without --expect there are none.
func (f *Founder) matching() ([]election.ID, bool) {
	if f.set.Expect < 1 {
		return nil, false
	}
	var ids []election.ID
	for _, a := range f.expecting() {
		if a.Expect != f.set.Expect {
			return nil, false
		}
		ids = append(ids, a.ID)
	}
	return ids, len(ids) == f.set.Expect
}

// Tick does what is due: it proposes, repeats, aborts or founds.
func (f *Founder) Tick(now time.Duration) (fx Effects) {
	if f.founded {
		return fx
	}
	switch {
	case f.coordinates() && f.proposed == 0:
		f.abort(now, &fx)
	case f.coordinates():
		f.press(now, &fx)
	case f.Bound():
		if f.waitsSince == 0 {
			f.waitsSince = now
		}
		if now >= f.resendAt { // the coordinator may have missed the acceptance, or its abort may have been lost
			f.resendAt = now + foundResend
			fx.Send = append(fx.Send, Word{f.durable.Coordinator, f.word(wire.FoundAccept)})
		}
	default:
		f.propose(now, &fx)
	}
	return fx
}

// WakeAt is when the next Tick is due that may do something: for an agent that has
// nothing to wait for but others, never.
func (f *Founder) WakeAt() (at time.Duration, due bool) {
	switch ids, ok := f.matching(); {
	case f.founded:
		return 0, false
	case f.coordinates():
		return min(f.resendAt, f.proposed+foundPatience), true
	case f.Bound():
		return f.resendAt, true
	default:
		return max(f.since+foundStable, f.retryAt), ok && ids[0] == f.set.Self && f.somebodyLeads()
	}
}

// propose begins an attempt if this agent has the lowest id of exactly N founders.
func (f *Founder) propose(now time.Duration, fx *Effects) {
	ids, ok := f.matching()
	if !ok || ids[0] != f.set.Self || now-f.since < foundStable || now < f.retryAt || !f.somebodyLeads() {
		return
	}
	attempt := max(f.durable.Attempt, f.durable.Aborted) + 1
	f.durable = store.Founding{
		FlockID: wire.FoundingID(ids, attempt), Coordinator: f.set.Self,
		Attempt: attempt, Aborted: attempt - 1, Set: ids,
	}
	f.accepted, f.founders = map[election.ID]bool{f.set.Self: true}, f.fresh
	f.proposed, f.resendAt = now, now
	f.keep(fx)
	f.press(now, fx)
}

// press repeats the proposal to those that have not accepted. It founds when all
// have, and aborts when that takes too long or the founders have changed.
func (f *Founder) press(now time.Duration, fx *Effects) {
	if len(f.accepted) == len(f.durable.Set) {
		f.founded, fx.Found = true, new(f.record())
		return
	}
	if ids, ok := f.matching(); !ok || !slices.Equal(ids, f.durable.Set) || now-f.proposed >= foundPatience {
		f.abort(now, fx)
		return
	}
	if now < f.resendAt {
		return
	}
	f.resendAt = now + foundResend
	for _, id := range f.durable.Set {
		if !f.accepted[id] {
			fx.Send = append(fx.Send, Word{id, f.word(wire.FoundPropose)})
		}
	}
}

// abort durably ends the current attempt, then releases those that accepted it.
func (f *Founder) abort(now time.Duration, fx *Effects) {
	word, set := f.word(wire.FoundAbort), f.durable.Set
	f.durable = store.Founding{Coordinator: f.set.Self, Attempt: f.durable.Attempt, Aborted: f.durable.Attempt}
	f.proposed, f.retryAt = 0, now+foundRetry
	f.keep(fx)
	for _, id := range set {
		if id != f.set.Self {
			fx.Send = append(fx.Send, Word{id, word})
		}
	}
}

// keep has the current attempt saved.
func (f *Founder) keep(fx *Effects) { fx.Save = new(f.durable) }

func (f *Founder) word(kind wire.FoundingKind) wire.Founding {
	d := &f.durable
	return wire.Founding{Kind: kind, FlockID: d.FlockID, Attempt: d.Attempt, Expect: f.set.Expect, Set: slices.Clone(d.Set)}
}

// record returns the record of a new flock: term 0 and config (0, 1), so that the
// first election gives the config term 1 (rule 4).
func (f *Founder) record() election.Record {
	candidates := slices.DeleteFunc(slices.Clone(f.founders), func(a Fresh) bool { return !slices.Contains(f.durable.Set, a.ID) || a.Observer })
	slices.SortFunc(candidates, func(a, b Fresh) int { return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.ID.Compare(b.ID)) })
	c := election.Config{ConfigID: election.ConfigID{Version: 1}}
	for _, a := range candidates[:min(len(candidates), autopilot.TargetVoters(len(candidates), f.set.Voters))] {
		c = c.With(election.Voter{ID: a.ID, Priority: a.Priority})
	}
	return election.Record{FlockID: f.durable.FlockID, Config: c}
}

// somebodyLeads reports whether one of the founders may be the goose.
func (f *Founder) somebodyLeads() bool {
	return slices.ContainsFunc(f.fresh, func(a Fresh) bool {
		return a.Expect == f.set.Expect && !a.Observer && a.Priority > 0
	})
}

// expecting returns the agents that expect a founding. The others join the flock of these.
func (f *Founder) expecting() (all []Fresh) {
	for _, a := range f.fresh {
		if a.Expect > 0 {
			all = append(all, a)
		}
	}
	return all
}

// Missing reports whether agents that are to found the flock have not been seen yet.
func (f *Founder) Missing() bool { return len(f.expecting()) < f.set.Expect && !f.Bound() }

// Status says for people how far the founding is.
func (f *Founder) Status(now time.Duration, nameOf func(election.ID) string) string {
	if f.Bound() && !f.coordinates() {
		if f.waitsSince > 0 && now-f.waitsSince >= lostAfter {
			return fmt.Sprintf("founding: %s was to found the flock, and has not answered for %v: start it again; only if it is lost for good: stop the others and empty their data directories",
				nameOf(f.durable.Coordinator), lostAfter)
		}
		return fmt.Sprintf("founding: agreed that %s founds the flock; waiting for it (normally under 1 s)", nameOf(f.durable.Coordinator))
	}
	var names []string
	for _, a := range f.expecting() {
		names = append(names, a.Name)
		if a.Expect != f.set.Expect {
			return fmt.Sprintf("founding: %s expects %d agents, this one %d: start all with the same --expect", a.Name, a.Expect, f.set.Expect)
		}
	}
	slices.Sort(names)
	list := strings.Join(names, " ")
	switch n := len(names); {
	case n > f.set.Expect:
		return fmt.Sprintf("founding: expected %d, see %d: %s: stop %d of them, or start all with --expect %d", f.set.Expect, n, list, n-f.set.Expect, n)
	case n < f.set.Expect:
		return fmt.Sprintf("founding: waiting for %d more of %d: have %s", f.set.Expect-n, f.set.Expect, list)
	}
	if !f.somebodyLeads() {
		return "founding: no goose is possible: " + list + " are all witnesses or observers: start one with a --priority above 0"
	}
	return "founding: all are here (" + list + "); asking them to agree (normally under 1 s)"
}
