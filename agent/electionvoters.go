package agent

import (
	"hash/fnv"
	"slices"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

const (
	// unevenFor is how long elections must be spread unevenly before one is moved,
	// and moveElectionEvery is the pace.
	unevenFor         = 5 * time.Second
	moveElectionEvery = time.Second
	// contestsEvery spaces the questions about what the others contest.
	contestsEvery = time.Second
)

// contestants is what this agent knows of which elections the others contest:
// gossip tells a hash of the list, and who has another than this agent is asked.
type contestants struct {
	of     map[election.ID]contestList
	asking bool
	askAt  time.Duration
	last   election.ID // who was asked last: one that does not answer keeps nobody waiting
}

type contestList struct {
	hash  uint64
	names []string
}

// contestHash stands for a list of elections; 0: none.
func contestHash(names []string) uint64 {
	if len(names) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(names))
	h := fnv.New64a()
	for _, name := range sorted {
		h.Write([]byte(name))
		h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

// doesContest tells whether an agent contests an election, and whether that is known.
func (l *life) doesContest(p *peer, name string) (does, known bool) {
	switch p.Meta.Elections {
	case 0:
		return false, true
	case l.contestsHash:
		return slices.Contains(l.cfg.Elections, name), true
	}
	list, ok := l.contestants.of[p.ID]
	return slices.Contains(list.names, name), ok && list.hash == p.Meta.Elections
}

// tendContestants asks one agent whose list is not known.
func (l *life) tendContestants(now time.Duration) {
	cs := &l.contestants
	if cs.asking || now < cs.askAt || len(l.contests) == 1 {
		return
	}
	var next *peer // the first after the last one, or the first of all
	for i := range l.peers {
		p := &l.peers[i]
		hash := p.Meta.Elections
		if p.State != api.StateAlive || p.ID == l.id || hash == 0 || hash == l.contestsHash || cs.of[p.ID].hash == hash {
			continue
		}
		if next == nil || isAfter(p.ID, cs.last, next.ID) {
			next = p
		}
	}
	if next == nil {
		return
	}
	id, hash := next.ID, next.Meta.Elections
	cs.asking, cs.askAt, cs.last = true, now+contestsEvery, id
	l.askTable(*next, tableQuestion{}, func(l *life, got *tableAnswer, _ []store.Election) {
		cs.asking = false
		if got == nil || len(got.Contests) > MaxElections || contestHash(got.Contests) != hash {
			return
		}
		if cs.of == nil || len(cs.of) >= sightingsMost {
			cs.of = map[election.ID]contestList{}
		}
		cs.of[id] = contestList{hash, got.Contests}
	})
}

// isAfter tells whether a comes sooner after last than b does, in a circle.
func isAfter(a, last, b election.ID) bool {
	if past := a.Compare(last) > 0; past != (b.Compare(last) > 0) {
		return past
	}
	return a.Compare(b) < 0
}

// followVoters makes the one change of voters by which this election's come
// nearer to the default election's: who is missing and answers, who is too
// many, and who is to lead. It never asks for more than rule 5 allows.
func (c *contest) followVoters(now time.Duration) {
	l := c.l
	if c.node.Role() != election.Leader || c.node.HandingOver() || c.handing != nil || c.node.Lease().Until <= now || !c.node.Committed() {
		return
	}
	c.contacts = c.node.Contacts(c.contacts[:0])
	target := l.node.Record().Config
	own := c.node.Record()
	if target.N == 0 {
		return
	}
	if !target.Has(l.id) && now >= c.movedAt+unfitEvery && !c.heir(now).IsZero() {
		c.movedAt = now
		c.beginStepDown(election.ID{}, func(string, error) {})
		return
	}
	for _, contact := range c.contacts {
		i := target.Index(contact.ID)
		if i < 0 || own.Config.Has(contact.ID) || own.Config.N == election.MaxVoters {
			continue
		}
		switch {
		case contact.Term > own.Term: // it is ahead: be elected above its term first (rule 7)
			c.beginHandover(handover{cause: stopSteppedDown, raiseTo: contact.Term, done: func(string, error) {}})
			return
		case contact.Answers(now, l.cfg.Lease):
			c.change(election.Change{Voter: target.Voters[i]})
			return
		}
	}
	if v, ok := c.tooMany(now, &own.Config, &target); ok {
		c.change(election.Change{Voter: v, Remove: true})
		return
	}
	if !c.seat.contested && c.handToContestant(now) {
		return
	}
	for _, v := range own.Config.Members() {
		if want, ok := c.wantedPriority(v.ID, target); ok && want != v.Priority {
			c.change(election.Change{Voter: election.Voter{ID: v.ID, Priority: want}})
			return
		}
	}
	if !c.seat.contested && !c.mayCare() {
		c.beginHandover(handover{cause: stopSteppedDown, stop: true, done: func(string, error) {}})
	}
}

// tooMany gives the voter that is to go next: one that does not answer first, as
// the others may be needed to take it out. A goose cannot take itself out; while
// it is one too many it leaves those in who must do without it.
func (c *contest) tooMany(now time.Duration, own, target *election.Config) (next election.Voter, ok bool) {
	for _, v := range own.Members() {
		if target.Has(v.ID) || v.ID == c.l.id {
			continue
		}
		if !c.answers(now, v.ID) {
			return v, true
		}
		rest := own.Without(v.ID)
		stay := 0
		for _, w := range rest.Members() {
			if target.Has(w.ID) {
				stay++
			}
		}
		if !ok && (target.Has(c.l.id) || stay >= rest.Quorum()) {
			next, ok = v, true
		}
	}
	return next, ok
}

// answers tells whether an agent has acknowledged a heartbeat within a lease.
func (c *contest) answers(now time.Duration, id election.ID) bool {
	return slices.ContainsFunc(c.contacts, func(k election.Contact) bool {
		return k.ID == id && k.Answers(now, c.l.cfg.Lease)
	})
}

// wantedPriority is the default election's, but the lowest for a voter that does
// not contest this one: it must be able to care for it.
func (c *contest) wantedPriority(id election.ID, target election.Config) (priority uint8, ok bool) {
	i := target.Index(id)
	if i < 0 {
		return 0, false
	}
	priority = target.Voters[i].Priority
	if priority == 0 {
		return 0, id != c.l.id
	}
	does, known := c.contestedBy(id)
	if !does {
		return caretaker, known
	}
	return max(priority, caretaker+1), known
}

// caretaker is the priority of voters that do not contest an election.
const caretaker = 1

// contestedBy tells whether a live agent contests this election, and whether that is known.
func (c *contest) contestedBy(id election.ID) (does, known bool) {
	l := c.l
	if id == l.id {
		return c.seat.contested, true
	}
	i := slices.IndexFunc(l.peers, func(p peer) bool { return p.ID == id && p.State == api.StateAlive })
	if i < 0 {
		return false, false
	}
	return l.doesContest(&l.peers[i], c.seat.name)
}

// takeCare lets an agent that does not contest an election campaign for it when
// nobody else can, and there is something to do for it. Then it hands over, or resigns.
func (c *contest) takeCare(now time.Duration) {
	if goose, _ := c.knownGooseAt(now); !goose.IsZero() || c.goosedAt == 0 {
		c.goosedAt = now
	}
	c.endHeadStart(now)
	c.askConfig(now)
	if c.seat.contested {
		return
	}
	care := c.node.Role() == election.Leader
	if !care && now-c.goosedAt >= careAfter*c.l.cfg.Lease {
		care = c.mayCare()
	}
	if care != c.cares {
		c.cares = care
		c.tellHolders()
	}
}

// askConfig asks the voters for the config of an election that this agent learnt of
// too late to know who votes in it. Its goose would show it, but this agent may be
// the only one that can be the goose. The answer to an old config is the newer one.
func (c *contest) askConfig(now time.Duration) {
	rec := c.node.Record()
	if rec.Config.N > 0 || now-c.goosedAt < careAfter*c.l.cfg.Lease || now < c.askedAt+contestsEvery {
		return
	}
	c.askedAt = now
	target := c.l.node.Record().Config
	for _, v := range target.Members() {
		if v.ID != c.l.id {
			c.sendElection(&election.Message{
				Kind: election.PreVoteRequest, NextTerm: rec.Term + 1,
				Header: election.Header{
					FlockID: rec.FlockID, Generation: rec.Generation, From: c.l.id, To: v.ID, Term: rec.Term, ConfigID: rec.Config.ConfigID,
				},
			})
		}
	}
}

// mayCare tells that this election needs care, and that none is nearer to do it: one
// that is a voter of the flock comes before one that is to go.
func (c *contest) mayCare() bool {
	voters, target := c.node.Record().Config, c.l.node.Record().Config
	return c.needsCare() && (target.Has(c.l.id) || !slices.ContainsFunc(c.l.peers, func(p peer) bool {
		return p.State == api.StateAlive && p.ID != c.l.id && target.Has(p.ID) && mayLead(&voters, p.ID)
	}))
}

// needsCare tells that none of the voters may lead an election and contests it,
// and that there is something to do all the same: an agent that contests it is to
// become one who may, or the voters are not the default election's any more.
// They must follow even then: those that go take its majority with them.
func (c *contest) needsCare() bool {
	voters, target := c.node.Record().Config, c.l.node.Record().Config
	heirs := false
	for _, p := range c.l.peers {
		if does, _ := c.contestedBy(p.ID); does {
			if mayLead(&voters, p.ID) {
				return false
			}
			heirs = heirs || mayLead(&target, p.ID)
		}
	}
	return heirs || target.N > 0 && !sameVoters(&voters, &target)
}

func mayLead(c *election.Config, id election.ID) bool {
	i := c.Index(id)
	return i >= 0 && c.Voters[i].Priority > 0
}

func sameVoters(a, b *election.Config) bool {
	return slices.EqualFunc(a.Members(), b.Members(), func(v, w election.Voter) bool { return v.ID == w.ID })
}

// endHeadStart lets this agent campaign once the first in line has had its time, or leads.
func (c *contest) endHeadStart(now time.Duration) {
	if c.notBefore == 0 {
		return
	}
	if goose, _ := c.knownGooseAt(now); now >= c.notBefore || !goose.IsZero() {
		c.notBefore = 0
		c.tellHolders()
	}
}

// careAfter is for how many leases an election must have had no goose before one
// that does not contest it cares for it.
const careAfter = 6

// handToContestant tells whether there is an agent to hand over to.
func (c *contest) handToContestant(now time.Duration) bool {
	to := c.heir(now)
	if !to.IsZero() && now >= c.movedAt+moveElectionEvery {
		c.movedAt = now
		c.beginStepDown(to, func(string, error) {})
	}
	return !to.IsZero()
}

// heir gives the voter that an election other than the default one is handed to:
// one that contests it, if any can take over. Their priorities may not say so yet.
// Zero: whoever ranks first.
func (c *contest) heir(now time.Duration) (best election.ID) {
	if c.number == 0 {
		return best
	}
	if first := c.node.Successor(now); !first.IsZero() {
		if does, _ := c.contestedBy(first); does {
			return first
		}
	}
	config := c.node.Record().Config
	for _, contact := range c.node.Contacts(nil) {
		if does, _ := c.contestedBy(contact.ID); does && mayLead(&config, contact.ID) && contact.Answers(now, c.l.cfg.Lease) {
			return contact.ID
		}
	}
	return best
}

func (c *contest) change(in election.Change) {
	c.step(in)
	if c.fx.Err != nil {
		c.log().Debug("change of voters refused", "voter", c.l.nameOf(in.Voter.ID), "error", c.fx.Err)
	}
}

// spreadElections hands one election over when this agent leads at least two
// more than another that could lead it, and has for a while. Those without
// work go first.
func (l *life) spreadElections(now time.Duration) {
	if len(l.contests) < 3 || l.frozen(now) > 0 || l.leaving.started || l.departure != nil || now < l.spreadAt {
		return
	}
	l.spreadAt = now + moveElectionEvery
	leads := map[election.ID]int{}
	for _, c := range l.contests[1:] {
		if goose, _ := c.knownGooseAt(now); !goose.IsZero() {
			leads[goose]++
		}
	}
	var give *contest
	var to election.ID
	for _, c := range l.contests[1:] {
		if c.handing != nil || c.node.Role() != election.Leader || c.node.Lease().Until <= now || give != nil && c.seat.holders.count() > 0 {
			continue
		}
		best, ok := c.leastBusy(now, leads)
		if !ok || leads[best]+2 > leads[l.id] {
			continue
		}
		if give == nil || leads[best] < leads[to] || give.seat.holders.count() > 0 && c.seat.holders.count() == 0 {
			give, to = c, best
		}
	}
	switch {
	case give == nil:
		l.unevenAt = 0
	case l.unevenAt == 0:
		l.unevenAt = now
	case now-l.unevenAt >= unevenFor:
		l.log.Info("an election moves to an agent that leads fewer", "election", give.seat.name, "to", l.nameOf(to))
		give.beginStepDown(to, func(goose string, err error) {
			if err != nil {
				l.log.Info("the election did not move", "election", give.seat.name, "reason", err)
			}
		})
	}
}

// leastBusy gives the voter that leads the fewest elections, among those that
// could take this one over and rank no lower than this agent.
func (c *contest) leastBusy(now time.Duration, leads map[election.ID]int) (best election.ID, ok bool) {
	rec := c.node.Record()
	own := rec.Config.Index(c.l.id)
	for _, contact := range c.contacts {
		i := rec.Config.Index(contact.ID)
		if i < 0 || own < 0 || !contact.Answers(now, c.l.cfg.Lease) {
			continue
		}
		priority := rec.Config.Voters[i].Priority
		if priority == 0 || priority < rec.Config.Voters[own].Priority {
			continue
		}
		if !ok || leads[contact.ID] < leads[best] {
			best, ok = contact.ID, true
		}
	}
	return best, ok
}
