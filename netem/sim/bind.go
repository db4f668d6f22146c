package sim

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/founding"
)

// foundAlone founds a flock of one.
func (l *life) foundAlone() error {
	id := election.FlockID(l.sim.newID(&l.dice))
	c := election.Config{ConfigID: election.ConfigID{Version: 1}}
	c = c.With(election.Voter{ID: l.id, Priority: max(l.priority, 1)})
	return l.takePart(election.Record{FlockID: id, Config: c}, l.store.Fresh())
}

// seek binds this agent to the flock it sees, or moves a founding along.
func (l *life) seek(now time.Duration) error {
	if l.node != nil {
		return nil
	}
	if l.founding == nil || !l.founding.Bound() {
		if id := l.foundedFlock(); !id.IsZero() && (l.joins || l.expects) {
			rec := election.Record{FlockID: id}
			if old, ok := recordOf(l.store.State()); ok && old.FlockID == id {
				rec = old
				rec.Config = election.Config{}
			}
			return l.takePart(rec, l.store.Fresh())
		}
	}
	if l.founding == nil {
		return nil
	}
	var fresh []founding.Fresh
	for i := range l.views {
		if v := &l.views[i]; v.state == alivePeer && v.meta.flock.IsZero() {
			fresh = append(fresh, founding.Fresh{
				ID: v.id, Name: v.agent.name, Expect: v.meta.expect, Priority: v.meta.priority, Observer: v.meta.observer,
			})
		}
	}
	l.founding.See(now, fresh)
	return l.performFounding(l.founding.Tick(now))
}

// foundedFlock gives the flock of a live agent that is bound to one; zero: none.
func (l *life) foundedFlock() election.FlockID {
	for i := range l.views {
		if v := &l.views[i]; v.id != l.id && v.state == alivePeer && !v.meta.flock.IsZero() {
			return v.meta.flock
		}
	}
	return election.FlockID{}
}

func (l *life) performFounding(fx founding.Effects) error {
	if fx.Save != nil {
		st := l.store.State()
		st.Founding = *fx.Save
		if err := l.saveState(st); err != nil {
			return err
		}
		if err := l.settled(l.store.Settle()); err != nil {
			return err
		}
	}
	for i := range fx.Send {
		l.sendWord(&fx.Send[i])
	}
	if fx.Found == nil {
		return nil
	}
	l.spreadTo = l.founding.Set()
	l.sim.stats.Foundings++
	return l.takePart(*fx.Found, l.store.Fresh())
}

// spread shows the founding config to the other founders until a goose is heard.
func (l *life) spread() {
	if len(l.spreadTo) == 0 {
		return
	}
	if !l.knownGoose().IsZero() {
		l.spreadTo = nil
		return
	}
	rec := l.node.Record()
	for _, id := range slices.Clone(l.spreadTo) {
		if id != l.id {
			l.sendElection(&election.Message{Kind: election.Reject, Config: rec.Config, Header: headerOf(&rec, id)})
		}
	}
}
