package sim

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/founding"
	"duckduckgoose/wire"
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
	if id := l.foundedFlock(); !id.IsZero() {
		rec := election.Record{FlockID: id}
		if old, ok := recordOf(l.store.State()); ok && old.FlockID == id {
			rec = old
			rec.Config = election.Config{}
		}
		return l.takePart(rec, l.store.Fresh())
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

// foundedFlock gives the flock of a live agent that is bound to one: any, or
// the one whose founding this agent has accepted. Zero: none.
func (l *life) foundedFlock() election.FlockID {
	for i := range l.views {
		v := &l.views[i]
		if v.id == l.id || v.state != alivePeer || v.meta.flock.IsZero() {
			continue
		}
		if l.founding == nil || !l.founding.Bound() || l.founding.Obeys(v.meta.flock) {
			return v.meta.flock
		}
	}
	return election.FlockID{}
}

// receiveWord handles one word of a founding.
func (l *life) receiveWord(from election.ID, w *wire.Founding) error {
	switch {
	case l.founding != nil:
		return l.performFounding(l.founding.Receive(l.now(), from, w))
	case l.node == nil:
		return nil
	case w.FlockID == l.flockID() && w.Kind == wire.FoundAccept:
		l.showConfig(from) // founded, and it has not heard
	case w.FlockID != l.flockID():
		if word, ok := founding.Elsewhere(l.id, from, w); ok {
			l.sendWord(&word)
		}
	}
	return nil
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
	for _, id := range l.spreadTo {
		if id != l.id {
			l.showConfig(id)
		}
	}
}

// showConfig shows another agent the config that this one has on its disk.
func (l *life) showConfig(to election.ID) {
	rec := l.node.Record()
	l.sendElection(&election.Message{Kind: election.Reject, Config: rec.Config, Header: headerOf(&rec, to)})
}
