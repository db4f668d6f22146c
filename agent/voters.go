package agent

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/election"
)

// choresEvery is how often the loop looks at what no message or timer brings up.
const choresEvery = 200 * time.Millisecond

// unfitEvery spaces the tries of a goose that should be none to hand over.
const unfitEvery = 10 * time.Second

// count books the events of a step.
func (c *contest) count() {
	l := c.l
	for _, e := range c.fx.Events {
		l.counts.of("election_" + eventCounter(e.Kind)).Add(1)
		switch e.Kind {
		case election.EventWon:
			c.log().Info("won the election", "term", e.Term)
		case election.EventDeposed, election.EventNotQuorate, election.EventResigned:
			c.log().Info(e.Kind.String(), "term", e.Term)
			if e.Kind == election.EventResigned && c.handing != nil {
				c.handing.resigned = true
			}
		case election.EventTwoLeaders, election.EventForeign:
			l.problem(l.nameOf(e.Peer) + ": " + e.Kind.String() + ": a copied data directory, or two recoveries of one flock (stop one of them)")
		case election.EventVoters:
			c.log().Info("voters changed", "term", e.Term, "voters", c.node.Record().Config.N)
			l.choresAt = 0 // others are kept in view now
		case election.EventInstalled:
			l.choresAt = 0
		default:
			c.log().Debug(e.Kind.String(), "term", e.Term, "peer", e.Peer)
		}
	}
}

func eventCounter(k election.EventKind) string {
	switch k {
	case election.EventCampaign:
		return "campaigns"
	case election.EventWon:
		return "won"
	case election.EventSplit:
		return "stood_down"
	case election.EventDeposed:
		return "deposed"
	case election.EventNotQuorate:
		return "not_quorate"
	case election.EventResigned:
		return "resigned"
	case election.EventInstalled:
		return "configs_installed"
	case election.EventVoters:
		return "voter_changes"
	case election.EventTwoLeaders:
		return "second_leaders"
	case election.EventForeign:
		return "foreign_generations"
	}
	return "votes_given"
}

// chores is what no message or timer of the node brings up: founding, voters,
// leaves, warnings.
func (l *life) chores(now time.Duration) error {
	l.choresAt = now + choresEvery
	if err := l.seek(now); err != nil {
		return err
	}
	if err := l.checkName(now); err != nil {
		return err
	}
	if err := l.checkAddress(now); err != nil {
		return err
	}
	l.tellWork()
	l.tellFreeze()
	if l.node != nil {
		l.spread(now)
		l.forgetLeavers(now)
		l.tendTable(now)
		l.tendContestants(now)
		for _, c := range l.contests[1:] {
			if at := (view{l.membersSeen, l.node.Record().Config.ConfigID, c.node.Record().Config.ConfigID}); at != c.viewed {
				c.viewed = at
				c.keepInView()
			}
			c.takeCare(now)
			c.followVoters(now)
		}
		l.spreadElections(now)
		l.listAudience()
		if err := l.progressLeave(now); err != nil {
			return err
		}
		l.steerVoters(now)
		l.progressForced()
	}
	l.refreshWarnings(now)
	for _, c := range l.contests[1:] {
		c.publish(now)
	}
	l.postMembers()
	l.postMeters(now)
	l.publish(now)
	return nil
}

// steerVoters makes the one change of voters that the autopilot asks for.
func (l *life) steerVoters(now time.Duration) {
	l.heir = autopilot.Heir{}
	if l.node.Role() != election.Leader || l.node.HandingOver() || l.node.Lease().Until <= now {
		return
	}
	rec := l.node.Record()
	v := autopilot.View{
		Self: l.id, Term: rec.Term, Config: rec.Config, Committed: l.node.Committed(), Limit: l.cfg.Voters,
		Frozen: l.frozen(now) > 0, Members: l.pilotMembers(now),
	}
	l.preempt(now, v)
	if autopilot.Unfit(v) && !v.Frozen && l.handing == nil && now >= l.unfitAt && !l.node.Successor(now).IsZero() {
		l.unfitAt = now + unfitEvery
		l.beginStepDown(election.ID{}, func(goose string, err error) {
			l.log.Info("a witness or observer hands over", "goose", goose, "error", err)
		})
		return
	}
	change, ok := l.pilot.Decide(now, v)
	if !ok {
		return
	}
	for _, c := range l.node.Contacts(nil) {
		if c.ID == change.Voter.ID && !change.Remove && c.Term > rec.Term && l.handing == nil {
			// It is ahead: be elected above its term first (rule 7).
			l.beginHandover(handover{cause: stopSteppedDown, raiseTo: c.Term, done: func(string, error) {}})
			return
		}
	}
	l.step(change)
	if l.fx.Err != nil {
		l.log.Debug("change of voters refused", "voter", l.nameOf(change.Voter.ID), "error", l.fx.Err)
	}
}

func (l *life) pilotMembers(now time.Duration) []autopilot.Member {
	contacts := map[election.ID]election.Contact{}
	for _, c := range l.node.Contacts(nil) {
		contacts[c.ID] = c
	}
	rec := l.node.Record()
	term, frozen := rec.Term, l.frozen(now) > 0
	var members []autopilot.Member
	for _, p := range l.peers {
		if p.State == api.StateLeft || !p.Meta.FlockID.IsZero() && p.Meta.FlockID != l.flockID() {
			continue
		}
		c := contacts[p.ID]
		_, forced := l.forceOut[p.ID]
		members = append(members, autopilot.Member{
			ID: p.ID, Alive: p.State == api.StateAlive,
			// One that is ahead acks nothing, but answers (rule 7); to add it takes another term.
			Acks:     c.Answers(now, l.cfg.Lease) || c.Term > term && !frozen,
			Observer: p.Meta.Observer, Priority: p.Meta.Priority, PreemptAfter: p.Meta.PreemptAfter,
			Leaving: l.wantsOut(p.ID), Forced: forced,
		})
	}
	return members
}

// membersChanged takes gossip's view in: addresses, names, who is kept in view.
func (l *life) membersChanged() {
	l.peers = l.gossip.Peers()
	l.membersSeen++
	l.alive = 0
	names := map[netip.AddrPort]string{}
	l.forgetNames()
	for _, p := range l.peers {
		l.names[p.ID] = p.Meta.Name
		if p.State != api.StateAlive {
			continue
		}
		l.alive++
		if p.ID == l.id {
			continue
		}
		l.book.Gossiped(p.ID, p.Meta.Start, p.Addr)
		names[p.Addr] = p.Meta.Name
	}
	if f := l.faults.Load(); f != nil {
		(*f).Learn(names)
	}
	byID := make(map[election.ID]peer, len(l.peers))
	for _, p := range l.peers {
		byID[p.ID] = p
	}
	l.byID.Store(&byID)
	l.hearFreezes()
	l.choresAt = 0
	for _, c := range l.contests {
		c.keepInView()
		c.publish(l.now())
	}
}

// keepInView tells the node which agents may become voters: live ones that are
// no observers or, for the other elections, the default election's voters. The
// rest hears its announcements only.
func (c *contest) keepInView() {
	l := c.l
	if c.node == nil {
		return
	}
	known := map[election.ID]bool{l.id: true}
	for _, contact := range c.node.Contacts(nil) {
		known[contact.ID] = true
	}
	flock, voters := l.flockID(), l.node.Record().Config
	for _, p := range l.peers {
		var in election.Input
		switch {
		case p.ID == l.id:
			continue
		case p.State == api.StateAlive && !known[p.ID] && p.Meta.FlockID == flock && !p.Meta.Observer && (c.number == 0 || voters.Has(p.ID)):
			in = election.Observe{ID: p.ID}
		case known[p.ID] && (p.State != api.StateAlive || c.number != 0 && !voters.Has(p.ID)):
			in = election.Forget{ID: p.ID} // voters stay in view whatever gossip says
		default:
			continue
		}
		c.step(in)
	}
	c.listAudience()
}

// listAudience lists the live agents of the flock that the node does not keep in view.
func (c *contest) listAudience() {
	l := c.l
	c.contacts = c.node.Contacts(c.contacts[:0])
	c.audience = c.audience[:0]
	flock := l.flockID()
	for _, p := range l.peers {
		inView := slices.ContainsFunc(c.contacts, func(known election.Contact) bool { return known.ID == p.ID })
		if p.State == api.StateAlive && p.ID != l.id && !inView && p.Meta.FlockID == flock {
			c.audience = append(c.audience, p.ID)
		}
	}
}

// isKnown tells of an id that gossip or the voters know.
func (l *life) isKnown(id election.ID) bool {
	if l.node != nil {
		if rec := l.node.Record(); rec.Config.Has(id) {
			return true
		}
	}
	return slices.ContainsFunc(l.peers, func(p peer) bool { return p.ID == id })
}

func (l *life) isAlive(id election.ID) bool {
	return slices.ContainsFunc(l.peers, func(p peer) bool { return p.ID == id && p.State == api.StateAlive })
}
