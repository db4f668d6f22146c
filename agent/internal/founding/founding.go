// Package founding founds a flock of agents that were all started with the same
// --expect, by two-phase commit: pure, told the time, what gossip shows and
// what others say.
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
	// foundStable is how long the founders must have been the same ones.
	foundStable = 200 * time.Millisecond
	// foundResend spaces the repeats of a proposal and of an acceptance.
	foundResend = 200 * time.Millisecond
	// foundPatience is how long a proposal may go unanswered.
	foundPatience = 3 * time.Second
	// lostAfter is how long the agent that founds must be silent before Status says what
	// helps if it is lost for good.
	lostAfter = 5 * time.Minute
)

// The reasons of a FoundRefuse.
const (
	refusedBound  = 1 // bound to another founding
	refusedView   = 2 // sees other founders
	refusedExpect = 3 // expects another number
)

// Settings are fixed for a founder's life.
type Settings struct {
	Self   election.ID
	Expect int // --expect
	Voters int // --voters
}

// Fresh is a live agent that is bound to no flock, as gossip shows it.
type Fresh struct {
	ID       election.ID
	Name     string
	Expect   int
	Priority uint8
	Observer bool
}

// Founder founds a flock of --expect N agents by two-phase commit: pure, driven
// by the loop. The lowest id coordinates. An acceptance is durable before it
// leaves, and binds until the coordinator has durably aborted that attempt; so
// of all attempts of one set at most one can ever be founded.
type Founder struct {
	set      Settings
	durable  store.Founding
	fresh    []Fresh // sorted by id, this agent included
	since    time.Duration
	founders []Fresh       // as they were when this life proposed
	proposed time.Duration // when this life proposed the attempt that stands; 0: it did not
	resendAt time.Duration
	retryAt  time.Duration
	accepted map[election.ID]bool
	founded  bool
	// waitsSince is when this agent began to wait for the founding that it accepted.
	waitsSince time.Duration
}

// Effects is what a step of the founder asks for, in this order.
type Effects struct {
	Save  *store.Founding // durable BEFORE anything is sent
	Send  []Word
	Found *election.Record // save it: the flock is founded
}

// Word is one word of the protocol, and whom to say it to.
type Word struct {
	To   election.ID
	Word wire.Founding
}

// New goes on from what is durable. A proposal of a former life is
// aborted: whether all had accepted it is not known any more.
func New(set Settings, durable store.Founding) *Founder {
	return &Founder{set: set, durable: durable, accepted: map[election.ID]bool{}}
}

// Bound tells whether an acceptance, or an own proposal, stands.
func (f *Founder) Bound() bool { return !f.durable.FlockID.IsZero() }

// Obeys tells whether datagrams of a flock are to be followed: the one accepted.
func (f *Founder) Obeys(id election.FlockID) bool { return f.Bound() && f.durable.FlockID == id }

// Set gives the founders of the attempt that stands, sorted.
func (f *Founder) Set() []election.ID { return slices.Clone(f.durable.Set) }

func (f *Founder) coordinates() bool { return f.Bound() && f.durable.Coordinator == f.set.Self }

// See takes gossip's view of the agents that are bound to no flock.
func (f *Founder) See(now time.Duration, fresh []Fresh) {
	if !slices.Equal(f.fresh, fresh) {
		f.fresh, f.since = slices.Clone(fresh), now
	}
}

// matching gives the founders if they are exactly the expected ones. An agent
// that expects none founds nothing: it may still be bound by an acceptance.
func (f *Founder) matching() ([]election.ID, bool) {
	if f.set.Expect < 1 {
		return nil, false
	}
	var ids []election.ID
	for _, a := range f.fresh {
		if a.Expect != f.set.Expect {
			if a.Expect != 0 {
				return nil, false
			}
			continue
		}
		ids = append(ids, a.ID)
	}
	return ids, len(ids) == f.set.Expect
}

// Tick proposes, repeats, aborts or founds, as the time and the view ask for.
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

// propose opens an attempt when this agent is the lowest of exactly N.
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

// press repeats the proposal to those who have not accepted, founds when all
// have, and gives up when that takes too long or the founders have changed.
func (f *Founder) press(now time.Duration, fx *Effects) {
	if len(f.accepted) == len(f.durable.Set) {
		f.founded, fx.Found = true, new(f.record())
		return
	}
	if ids, ok := f.matching(); !ok || !slices.Equal(ids, f.durable.Set) || now-f.proposed > foundPatience {
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

// abort durably ends the attempt that stands, then releases those who accepted it.
func (f *Founder) abort(now time.Duration, fx *Effects) {
	word, set := f.word(wire.FoundAbort), f.durable.Set
	f.durable = store.Founding{Coordinator: f.set.Self, Attempt: f.durable.Attempt, Aborted: f.durable.Attempt}
	f.proposed, f.retryAt = 0, now+foundStable
	f.keep(fx)
	for _, id := range set {
		if id != f.set.Self {
			fx.Send = append(fx.Send, Word{id, word})
		}
	}
}

// keep asks for what stands now to be saved.
func (f *Founder) keep(fx *Effects) { fx.Save = new(f.durable) }

func (f *Founder) word(kind wire.FoundingKind) wire.Founding {
	d := &f.durable
	return wire.Founding{Kind: kind, FlockID: d.FlockID, Attempt: d.Attempt, Expect: f.set.Expect, Set: slices.Clone(d.Set)}
}

// Receive handles one word of the protocol.
func (f *Founder) Receive(now time.Duration, from election.ID, w *wire.Founding) (fx Effects) {
	switch w.Kind {
	case wire.FoundPropose:
		f.consider(from, w, &fx)
	case wire.FoundAccept:
		switch {
		case f.coordinates() && w.FlockID == f.durable.FlockID && slices.Contains(f.durable.Set, from):
			if f.proposed != 0 && !f.founded {
				f.accepted[from] = true
				f.press(now, &fx)
			}
		case !f.founded && w.Attempt <= f.durable.Aborted && asks(w, f.set.Self):
			fx.Send = append(fx.Send, release(from, w))
		}
	case wire.FoundRefuse:
		if f.coordinates() && f.proposed != 0 && !f.founded && w.FlockID == f.durable.FlockID {
			f.abort(now, &fx)
			f.retryAt = now + 5*foundStable
		}
	case wire.FoundAbort:
		if f.Bound() && f.durable.Coordinator == from && from != f.set.Self && w.Attempt >= f.durable.Attempt {
			f.durable, f.waitsSince = store.Founding{Attempt: f.durable.Attempt, Aborted: max(w.Attempt, f.durable.Aborted)}, 0
			f.keep(&fx)
		}
	}
	return fx
}

// Elsewhere answers an agent that still waits for a founding of ours, when this
// one is bound to another flock by now and so will never found that one: ok.
func Elsewhere(self, from election.ID, w *wire.Founding) (word Word, ok bool) {
	if w.Kind != wire.FoundAccept || !asks(w, self) {
		return Word{}, false
	}
	return release(from, w), true
}

// asks tells whether an acceptance answers a proposal of self: the lowest coordinates.
func asks(w *wire.Founding, self election.ID) bool { return len(w.Set) > 0 && w.Set[0] == self }

// release ends an acceptance.
func release(to election.ID, w *wire.Founding) Word {
	word := wire.Founding{Kind: wire.FoundAbort, FlockID: w.FlockID, Attempt: w.Attempt, Expect: w.Expect, Set: slices.Clone(w.Set)}
	return Word{to, word}
}

// consider answers a proposal. A higher attempt of the same coordinator is
// also its durable abort of the lower ones.
func (f *Founder) consider(from election.ID, w *wire.Founding, fx *Effects) {
	if len(w.Set) == 0 || w.Set[0] != from || !slices.Contains(w.Set, f.set.Self) || f.founded {
		return
	}
	reply := wire.Founding{Kind: wire.FoundAccept, FlockID: w.FlockID, Attempt: w.Attempt, Expect: f.set.Expect, Set: slices.Clone(w.Set)}
	answer := func() { fx.Send = append(fx.Send, Word{from, reply}) }
	refuse := func(reason uint8) {
		reply.Kind, reply.Reason = wire.FoundRefuse, reason
		answer()
	}
	ids, ok := f.matching()
	switch {
	case f.Obeys(w.FlockID) && f.durable.Coordinator == from:
		answer() // again
		return
	case f.Bound() && f.durable.Coordinator != from:
		refuse(refusedBound)
		return
	case f.Bound() && w.Attempt <= f.durable.Attempt:
		return // an attempt that its coordinator has left behind
	case w.Expect != f.set.Expect || len(w.Set) != f.set.Expect:
		refuse(refusedExpect)
		return
	case !ok || !slices.Equal(ids, w.Set):
		if len(ids) > f.set.Expect {
			refuse(refusedView)
		}
		return // this agent's view is behind: the proposal comes again
	}
	f.durable = store.Founding{
		FlockID: w.FlockID, Coordinator: from, Attempt: w.Attempt, Aborted: f.durable.Aborted, Set: slices.Clone(w.Set),
	}
	f.keep(fx)
	answer()
}

// record is the flock as it is founded: term 0 and config (0, 1), so that the
// first election stamps the config with term 1 (rule 4).
func (f *Founder) record() election.Record {
	candidates := slices.DeleteFunc(slices.Clone(f.founders), func(a Fresh) bool { return !slices.Contains(f.durable.Set, a.ID) || a.Observer })
	slices.SortFunc(candidates, func(a, b Fresh) int { return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.ID.Compare(b.ID)) })
	c := election.Config{ConfigID: election.ConfigID{Version: 1}}
	for _, a := range candidates[:min(len(candidates), autopilot.TargetVoters(len(candidates), f.set.Voters))] {
		c = c.With(election.Voter{ID: a.ID, Priority: a.Priority})
	}
	return election.Record{FlockID: f.durable.FlockID, Config: c}
}

// somebodyLeads tells whether one of those that found may be the goose.
func (f *Founder) somebodyLeads() bool {
	return slices.ContainsFunc(f.fresh, func(a Fresh) bool {
		return a.Expect == f.set.Expect && !a.Observer && a.Priority > 0
	})
}

// Status tells people how far the founding is.
func (f *Founder) Status(now time.Duration, nameOf func(election.ID) string) string {
	if f.Bound() && !f.coordinates() {
		if f.waitsSince > 0 && now-f.waitsSince >= lostAfter {
			return fmt.Sprintf("founding: %s was to found the flock, and has not answered for %v: start it again; only if it is lost for good: stop the others and empty their data directories",
				nameOf(f.durable.Coordinator), lostAfter)
		}
		return fmt.Sprintf("founding: agreed that %s founds the flock; waiting for it (normally under 1 s)", nameOf(f.durable.Coordinator))
	}
	var names []string
	for _, a := range f.fresh {
		if a.Expect == 0 {
			continue // it joins what others found
		}
		names = append(names, a.Name)
		if a.Expect != f.set.Expect {
			return fmt.Sprintf("founding: %s expects %d agents, this one %d: start all with the same --expect", a.Name, a.Expect, f.set.Expect)
		}
	}
	slices.Sort(names)
	list := strings.Join(names, " ")
	switch n := len(names); {
	case n > f.set.Expect:
		return fmt.Sprintf("founding: expected %d, see %d: %s: stop those that are too many", f.set.Expect, n, list)
	case n < f.set.Expect:
		return fmt.Sprintf("founding: waiting for %d more of %d: have %s", f.set.Expect-n, f.set.Expect, list)
	}
	if !f.somebodyLeads() {
		return "founding: no goose is possible: " + list + " are all witnesses or observers: start one with a --priority above 0"
	}
	return "founding: all are here (" + list + "); asking them to agree (normally under 1 s)"
}
