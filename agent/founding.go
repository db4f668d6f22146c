package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
)

// The reasons of a FoundRefuse.
const (
	refusedBound  = 1 // bound to another founding
	refusedView   = 2 // sees other founders
	refusedExpect = 3 // expects another number
)

// founderSettings are fixed for a founder's life.
type founderSettings struct {
	self   election.ID
	expect int // --expect
	voters int // --voters
}

// freshAgent is a live agent that is bound to no flock, as gossip shows it.
type freshAgent struct {
	id       election.ID
	name     string
	expect   int
	priority uint8
	observer bool
}

// founder founds a flock of --expect N agents by two-phase commit: pure, driven
// by the loop. The lowest id coordinates. An acceptance is durable before it
// leaves, and binds until the coordinator has durably aborted that attempt; so
// of all attempts of one set at most one can ever be founded.
type founder struct {
	set      founderSettings
	durable  store.Founding
	fresh    []freshAgent // sorted by id, this agent included
	since    time.Duration
	proposed time.Duration // when this life proposed the attempt that stands; 0: it did not
	resendAt time.Duration
	retryAt  time.Duration
	accepted map[election.ID]bool
	founded  bool
}

// foundingEffects is what a step of the founder asks for, in this order.
type foundingEffects struct {
	save  *store.Founding // durable BEFORE anything is sent
	send  []foundingWord
	found *election.Record // save it: the flock is founded
}

type foundingWord struct {
	to   election.ID
	word wire.Founding
}

// newFounder goes on from what is durable. A proposal of a former life is
// aborted: whether all had accepted it is not known any more.
func newFounder(set founderSettings, durable store.Founding) *founder {
	f := &founder{set: set, durable: durable, accepted: map[election.ID]bool{}}
	return f
}

// bound tells whether an acceptance, or an own proposal, stands.
func (f *founder) bound() bool { return !f.durable.FlockID.IsZero() }

// obeys tells whether datagrams of a flock are to be followed: the one accepted.
func (f *founder) obeys(id election.FlockID) bool { return f.bound() && f.durable.FlockID == id }

func (f *founder) coordinates() bool { return f.bound() && f.durable.Coordinator == f.set.self }

// see takes gossip's view of the agents that are bound to no flock.
func (f *founder) see(now time.Duration, fresh []freshAgent) {
	if !slices.Equal(f.fresh, fresh) {
		f.fresh, f.since = slices.Clone(fresh), now
	}
}

// matching gives the founders if they are exactly the expected ones.
func (f *founder) matching() ([]election.ID, bool) {
	var ids []election.ID
	for _, a := range f.fresh {
		if a.expect != f.set.expect {
			if a.expect != 0 {
				return nil, false
			}
			continue
		}
		ids = append(ids, a.id)
	}
	return ids, len(ids) == f.set.expect
}

// tick proposes, repeats, aborts or founds, as the time and the view ask for.
func (f *founder) tick(now time.Duration) (fx foundingEffects) {
	if f.founded {
		return fx
	}
	switch {
	case f.coordinates() && f.proposed == 0:
		f.abort(now, &fx)
	case f.coordinates():
		f.press(now, &fx)
	case f.bound():
		if now >= f.resendAt { // the coordinator may have missed the acceptance, or its abort may have been lost
			f.resendAt = now + foundResend
			fx.send = append(fx.send, foundingWord{f.durable.Coordinator, f.word(wire.FoundAccept)})
		}
	default:
		f.propose(now, &fx)
	}
	return fx
}

// propose opens an attempt when this agent is the lowest of exactly N.
func (f *founder) propose(now time.Duration, fx *foundingEffects) {
	ids, ok := f.matching()
	if !ok || ids[0] != f.set.self || now-f.since < foundStable || now < f.retryAt {
		return
	}
	attempt := max(f.durable.Attempt, f.durable.Aborted) + 1
	f.durable = store.Founding{
		FlockID: wire.FoundingID(ids, attempt), Coordinator: f.set.self,
		Attempt: attempt, Aborted: attempt - 1, Set: ids,
	}
	f.accepted = map[election.ID]bool{f.set.self: true}
	f.proposed, f.resendAt = now, now
	f.keep(fx)
	f.press(now, fx)
}

// press repeats the proposal to those who have not accepted, founds when all
// have, and gives up when that takes too long or the founders have changed.
func (f *founder) press(now time.Duration, fx *foundingEffects) {
	if len(f.accepted) == len(f.durable.Set) {
		rec := f.record()
		f.founded = true
		fx.found = &rec
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
			fx.send = append(fx.send, foundingWord{id, f.word(wire.FoundPropose)})
		}
	}
}

// abort durably ends the attempt that stands, then releases those who accepted it.
func (f *founder) abort(now time.Duration, fx *foundingEffects) {
	word, set := f.word(wire.FoundAbort), f.durable.Set
	f.durable = store.Founding{Coordinator: f.set.self, Attempt: f.durable.Attempt, Aborted: f.durable.Attempt}
	f.proposed, f.retryAt = 0, now+foundStable
	f.keep(fx)
	for _, id := range set {
		if id != f.set.self {
			fx.send = append(fx.send, foundingWord{id, word})
		}
	}
}

func (f *founder) keep(fx *foundingEffects) {
	d := f.durable
	fx.save = &d
}

func (f *founder) word(kind wire.FoundingKind) wire.Founding {
	return wire.Founding{
		Kind: kind, FlockID: f.durable.FlockID, Attempt: f.durable.Attempt, Expect: f.set.expect,
		Set: slices.Clone(f.durable.Set),
	}
}

// receive handles one word of the protocol.
func (f *founder) receive(now time.Duration, from election.ID, w *wire.Founding) (fx foundingEffects) {
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
		case !f.founded && w.Attempt <= f.durable.Aborted && slices.Contains(w.Set, f.set.self):
			fx.send = append(fx.send, foundingWord{from, wire.Founding{
				Kind: wire.FoundAbort, FlockID: w.FlockID, Attempt: w.Attempt, Expect: f.set.expect, Set: slices.Clone(w.Set),
			}})
		}
	case wire.FoundRefuse:
		if f.coordinates() && f.proposed != 0 && !f.founded && w.FlockID == f.durable.FlockID {
			f.abort(now, &fx)
			f.retryAt = now + 5*foundStable
		}
	case wire.FoundAbort:
		if f.bound() && f.durable.Coordinator == from && from != f.set.self && w.Attempt >= f.durable.Attempt {
			f.durable = store.Founding{Attempt: f.durable.Attempt, Aborted: w.Attempt}
			f.keep(&fx)
		}
	}
	return fx
}

// consider answers a proposal. A higher attempt of the same coordinator is
// also its durable abort of the lower ones.
func (f *founder) consider(from election.ID, w *wire.Founding, fx *foundingEffects) {
	if len(w.Set) == 0 || w.Set[0] != from || !slices.Contains(w.Set, f.set.self) || f.founded {
		return
	}
	reply := wire.Founding{Kind: wire.FoundAccept, FlockID: w.FlockID, Attempt: w.Attempt, Expect: f.set.expect, Set: slices.Clone(w.Set)}
	answer := func() { fx.send = append(fx.send, foundingWord{from, reply}) }
	refuse := func(reason uint8) {
		reply.Kind, reply.Reason = wire.FoundRefuse, reason
		answer()
	}
	ids, ok := f.matching()
	switch {
	case f.obeys(w.FlockID) && f.durable.Coordinator == from:
		answer() // again
		return
	case f.bound() && f.durable.Coordinator != from:
		refuse(refusedBound)
		return
	case f.bound() && w.Attempt <= f.durable.Attempt:
		return // an attempt that its coordinator has left behind
	case w.Expect != f.set.expect || len(w.Set) != f.set.expect:
		refuse(refusedExpect)
		return
	case !ok || !slices.Equal(ids, w.Set):
		if len(ids) > f.set.expect {
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
func (f *founder) record() election.Record {
	var candidates []freshAgent
	for _, a := range f.fresh {
		if slices.Contains(f.durable.Set, a.id) && !a.observer {
			candidates = append(candidates, a)
		}
	}
	slices.SortStableFunc(candidates, func(a, b freshAgent) int {
		if a.priority != b.priority {
			return int(b.priority) - int(a.priority)
		}
		return a.id.Compare(b.id)
	})
	c := election.Config{ConfigID: election.ConfigID{Version: 1}}
	for _, a := range candidates[:min(len(candidates), targetVoters(len(candidates), f.set.voters))] {
		c = c.With(election.Voter{ID: a.id, Priority: a.priority})
	}
	return election.Record{FlockID: f.durable.FlockID, Config: c}
}

// status tells people how far the founding is.
func (f *founder) status(nameOf func(election.ID) string) string {
	var names []string
	for _, a := range f.fresh {
		names = append(names, a.name)
		if a.expect != f.set.expect && a.expect != 0 {
			return fmt.Sprintf("founding: %s expects %d agents, this one %d: start all with the same --expect", a.name, a.expect, f.set.expect)
		}
	}
	slices.Sort(names)
	list := strings.Join(names, " ")
	switch n := len(names); {
	case f.bound() && !f.coordinates():
		return fmt.Sprintf("founding: accepted the proposal of %s and waiting for it; if it is lost for good, stop the others and empty their data directories", nameOf(f.durable.Coordinator))
	case n > f.set.expect:
		return fmt.Sprintf("founding: expected %d, see %d: %s: nobody founds until one too many is stopped", f.set.expect, n, list)
	case n < f.set.expect:
		return fmt.Sprintf("founding: waiting for %d more of %d: have %s", f.set.expect-n, f.set.expect, list)
	}
	return "founding: all " + list + " are here"
}

// targetVoters is the table of voters: 1 for flocks of 1 or 2, 3 for 3 or 4, 5
// from 5 on, and at most limit.
func targetVoters(members, limit int) int {
	n := 1
	switch {
	case members >= 7 && limit >= 7:
		n = 7
	case members >= 5:
		n = 5
	case members >= 3:
		n = 3
	}
	return min(n, limit)
}
