package agent

import (
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// local is the programs on this machine that follow one election. It outlives
// simulated deaths, so that readers and holders keep what they are attached to.
type local struct {
	name      string // "": the default election
	contested bool   // this agent may lead it; in the others it only votes
	snapshots *snapshots
	holders   *holders
	grace     func() time.Duration // for work that does not say how long it takes to end

	// The loop's own, of this life.
	l         *life
	shown     member.View
	around    around
	shownOnce bool
}

// around is what readers see besides the election.
type around struct{ netem, warnings string }

var _ member.Local = (*local)(nil)

func (a *Agent) newLocal(name string) *local {
	return &local{
		name: name, snapshots: &snapshots{clock: a.cfg.Clock, started: a.cfg.Clock(), counts: a.counters}, holders: &holders{},
		grace: func() time.Duration { return a.cfg.Grace },
	}
}

// localOf gives the programs that follow an election, by its name.
func (a *Agent) localOf(name string) *local {
	if name == "" {
		return a.main
	}
	a.locals.Lock()
	defer a.locals.Unlock()
	for _, at := range a.locals.all {
		if at.name == name {
			return at
		}
	}
	at := a.newLocal(name)
	at.snapshots.post(a.idleStatusOf(name), 0, a.cfg.Lease)
	a.locals.all = append(a.locals.all, at)
	slices.SortFunc(a.locals.all, func(x, y *local) int { return strings.Compare(x.name, y.name) })
	return at
}

// otherLocals gives those of the elections besides the default one, by name.
func (a *Agent) otherLocals() []*local {
	a.locals.Lock()
	defer a.locals.Unlock()
	return slices.Clone(a.locals.all)
}

// causes are the member's, in the words of the API.
var causes = map[member.Cause]string{
	member.LeaseLost: api.StopLost, member.SteppedDown: api.StopSteppedDown, member.Stopped: api.StopStopped,
}

func (at *local) Retract(cause member.Cause) {
	at.snapshots.setLease(election.Lease{})
	at.holders.stopAll(causes[cause])
}

func (at *local) Grant(lease election.Lease, ending bool) {
	at.snapshots.setLease(lease)
	at.holders.renew(lease, ending)
}

func (at *local) Stop(cause member.Cause) { at.holders.stopAll(causes[cause]) }

func (at *local) Close() { at.snapshots.post(at.l.idleStatusOf(at.name), 0, at.l.cfg.Lease) }

func (at *local) Holders() member.Holders { return at.holders.state(at.grace()) }

// Publish posts what readers can tell apart from what stands. It runs at every
// step, so it makes nothing unless something has changed.
func (at *local) Publish(now time.Duration, v *member.View) {
	l := at.l
	at.snapshots.heardAt.Store(int64(v.HeardAt))
	if at.name == "" {
		l.meter(now, v)
	}
	seen := *v
	seen.HeardAt, seen.Lapses = 0, 0
	if at.shownOnce && at.shown == seen && at.around == l.warnings.around && !at.snapshots.lapsed() {
		return
	}
	at.shown, at.around, at.shownOnce = seen, l.warnings.around, true
	if at.name == "" {
		l.postMembers() // before those whom the snapshot wakes look at them
	}
	at.snapshots.post(at.status(v), v.Token, l.cfg.Lease)
}

// status builds the status that v stands for, with nothing run out yet.
func (at *local) status(v *member.View) Status {
	l, record := at.l, v.Record
	s := Status{
		Election: at.name, Name: l.cfg.Name, ID: l.id.String(), Addr: l.port.Advertised().String(),
		Flock: l.cfg.Flock, FlockID: record.FlockID.String(), Role: api.RoleDuck,
		Voter: record.Config.Has(l.id), Priority: l.cfg.OwnPriority(),
		Generation: record.Generation.Number, Term: record.Term,
		Config:    api.Config{Term: record.Config.Term, Version: record.Config.Version, Voters: []api.Voter{}},
		Heartbeat: millis(l.cfg.Heartbeat), LeaseMS: millis(l.cfg.Lease),
		Alive: l.member.Alive(), Netem: l.warnings.netem, Warnings: append([]string{}, l.warnings.shown...), Version: l.cfg.Version,
	}
	if v.Role == election.PreCandidate || v.Role == election.Candidate {
		s.Role = api.RoleCandidate
	}
	for _, voter := range record.Config.Members() {
		s.Config.Voters = append(s.Config.Voters, api.Voter{
			ID: voter.ID.String(), Name: l.nameOf(voter.ID), Priority: voter.Priority,
		})
		if voter.ID == l.id {
			s.Priority = voter.Priority // the config's counts
		}
	}
	if !v.Goose.IsZero() {
		addr := ""
		if known, ok := l.member.Addr(v.Goose); ok {
			addr = known.String()
		}
		s.Goose = &api.Goose{Name: l.nameOf(v.Goose), ID: v.Goose.String(), Addr: addr, Term: v.GooseTerm}
		s.Token = v.GooseToken
	}
	return s
}
