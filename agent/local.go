package agent

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/snapshot"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
)

// local serves the readers and holders of one election on this machine. They stay
// attached during simulated deaths.
type local struct {
	name      string // "": the default election
	contested bool   // this agent may lead it; in the others it only votes
	snapshots *snapshot.Latest
	holders   *holders

	// Of this life; used by the loop only. Each heartbeat reads it, so it lies close together.
	l          *life
	shownOnce  bool
	attached   uint64 // changes of the holders, as shown
	succession succession
	shown      member.View
	besides    besides

	chronicle chronicle
	checked   checked
	grace     func() time.Duration // for work that does not say how long it takes to end
}

// besides is what a status shows besides the election.
type besides struct{ netem, warnings string }

var _ member.Local = (*local)(nil)

func (a *Agent) newLocal(name string) *local {
	return &local{
		name: name, snapshots: &snapshot.Latest{Clock: a.cfg.Clock, Started: a.cfg.Clock(), Counts: a.counters}, holders: &holders{},
		grace: func() time.Duration { return a.cfg.Grace },
	}
}

// localOf returns the local of an election by its name.
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
	at.post(a.idleStatusOf(name), 0, a.cfg.Lease)
	a.locals.all = append(a.locals.all, at)
	slices.SortFunc(a.locals.all, func(x, y *local) int { return strings.Compare(x.name, y.name) })
	return at
}

// logger returns the agent's logger, which names this election unless it is the default one.
func (at *local) logger() *slog.Logger {
	if at.name == "" {
		return at.l.log
	}
	return at.l.log.With("election", at.name)
}

// otherLocals returns those of the elections besides the default one, by name.
func (a *Agent) otherLocals() []*local {
	a.locals.Lock()
	defer a.locals.Unlock()
	return slices.Clone(a.locals.all)
}

// causes translates the member's causes to those of the API.
var causes = map[member.Cause]string{
	member.LeaseLost: api.StopLost, member.SteppedDown: api.StopSteppedDown, member.Stopped: api.StopStopped,
}

func (at *local) Retract(cause member.Cause) {
	at.snapshots.SetLease(election.Lease{})
	at.holders.stopAll(causes[cause])
}

func (at *local) Grant(lease election.Lease, ending bool) {
	at.snapshots.SetLease(lease)
	if at.holders.none() {
		return
	}
	at.holders.renew(lease, at.l.member.Named(at.name).Committed(), ending)
}

func (at *local) Stop(cause member.Cause) { at.holders.stopAll(causes[cause]) }

func (at *local) Close() { at.post(at.l.idleStatusOf(at.name), 0, at.l.cfg.Lease) }

// post publishes a status and tells waiting holders.
func (at *local) post(s Status, token uint64, horizon time.Duration) {
	s.Holders = at.holders.list()
	at.snapshots.Post(s, token, horizon)
	at.holders.each((*holder).see)
}

func (at *local) Holders() member.Holders {
	h := at.holders.state(at.grace())
	h.Health = at.checked.wellness().health
	return h
}

// Publish posts a new status if readers could see a difference. It runs at every step,
// so it allocates nothing unless something has changed.
func (at *local) Publish(now time.Duration, v *member.View) {
	l := at.l
	at.catchUp()
	at.follow(now, v)
	at.snapshots.HeardAt.Store(int64(v.HeardAt))
	if at.name == "" {
		l.meter(now, v)
	}
	seen := *v
	seen.HeardAt, seen.Lapses = 0, 0
	attached := at.holders.changes()
	if at.shownOnce && at.shown == seen && at.besides == l.warnings.besides && at.attached == attached && !at.snapshots.Told.Load() {
		return
	}
	at.shown, at.besides, at.attached, at.shownOnce = seen, l.warnings.besides, attached, true
	if at.name == "" {
		l.showMembers() // before those whom the snapshot wakes look at them
	}
	at.post(at.status(v), v.Token, cmp.Or(v.Heard, l.cfg.Lease))
}

// catchUp brings succession up to date, which Heard leaves as it is.
func (at *local) catchUp() {
	if s := &at.succession; !s.goose.IsZero() && s.goose != at.l.id {
		s.seenAt = time.Duration(at.snapshots.HeardAt.Load())
	}
}

// Heard tells readers that the goose was heard again. Watchers that know of a lapse must
// see all of the state.
func (at *local) Heard(now time.Duration) bool {
	at.snapshots.HeardAt.Store(int64(now))
	return !at.snapshots.Told.Load()
}

// status builds the status of v as if nothing had run out yet.
func (at *local) status(v *member.View) Status {
	l := at.l
	s := l.statusOf(at.name, l.id, v.Record, l.nameOf)
	s.Addr, s.Alive = l.port.Advertised().String(), l.shownAlive()
	s.Netem, s.Warnings = l.warnings.netem, append(s.Warnings, l.warnings.shown...)
	s.Work, s.Well = v.Work, isWell(v.Health)
	if v.Role == election.PreCandidate || v.Role == election.Candidate {
		s.Role = api.RoleCandidate
	}
	if v.Token != 0 { // shown while the lease is valid
		s.Goose = &api.Goose{ID: s.ID, Tags: l.cfg.Tags}
	}
	if !v.Goose.IsZero() && v.Goose != l.id {
		addr := ""
		if known, ok := l.member.Addr(v.Goose); ok {
			addr = known.String()
		}
		s.Goose = &api.Goose{Name: l.nameOf(v.Goose), ID: v.Goose.String(), Addr: addr, Term: v.GooseTerm}
		if p, ok := l.peer(func(p *member.Peer) bool { return p.ID == v.Goose }); ok {
			s.Goose.Tags = p.Meta.Tags
		}
		s.Token = v.GooseToken
	}
	s.Since = at.since()
	if l.cfg.AutoLease {
		at.showPace(&s, v)
	}
	return s
}

// showPace shows the lease and the heartbeat that are in force (--lease auto).
func (at *local) showPace(s *Status, v *member.View) {
	switch {
	case v.Role == election.Leader:
		s.LeaseMS, s.Heartbeat = api.Millis(v.Pace.Lease), api.Millis(v.Pace.Heartbeat)
	case v.Heard > 0:
		s.LeaseMS = api.Millis(v.Heard)
	}
	s.AutoLease = &api.AutoLease{Why: v.PaceWhy}
}

// isWell returns the result of a check as the API shows it; nil: there is no check.
func isWell(h member.Health) *bool {
	if h == member.Unchecked {
		return nil
	}
	well := h == member.Well
	return &well
}

// idleStatusOf returns the status of an election in which this agent takes no part yet.
func (a *Agent) idleStatusOf(name string) Status {
	st := a.disk.State()
	rec, _ := st.Record()
	if name != "" {
		rec = election.Record{FlockID: rec.FlockID, Generation: rec.Generation}
		if i := slices.IndexFunc(st.Elections, func(e store.Election) bool { return e.Number != 0 && e.Name == name }); i >= 0 {
			rec = st.Elections[i].Record
		}
	}
	names := a.disk.Names()
	names[st.ID] = a.cfg.Name
	return a.statusOf(name, st.ID, &rec, func(id election.ID) string { return shortName(names[id], id) })
}

// statusOf returns what a record shows of an election.
func (a *Agent) statusOf(name string, self election.ID, rec *election.Record, nameOf func(election.ID) string) Status {
	c := &a.cfg
	s := Status{
		Election: name, Name: c.Name, ID: self.String(), Addr: c.Bind, Flock: c.Flock, FlockID: rec.FlockID.String(),
		Role: api.RoleDuck, Voter: rec.Config.Has(self), Priority: c.OwnPriority(), Generation: rec.Generation.Number, Term: rec.Term,
		Config:    api.Config{Term: rec.Config.Term, Version: rec.Config.Version, Voters: []api.Voter{}},
		Heartbeat: api.Millis(c.Heartbeat), LeaseMS: api.Millis(c.Lease), Warnings: []string{}, Version: c.Version,
	}
	for _, v := range rec.Config.Members() {
		s.Config.Voters = append(s.Config.Voters, api.Voter{ID: v.ID.String(), Name: nameOf(v.ID), Priority: v.Priority})
		if v.ID == self {
			s.Priority = v.Priority // the config's counts
		}
	}
	return s
}
