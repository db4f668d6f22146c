package agent

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/founding"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// foundAlone founds a flock of one: this agent is its goose at once.
func (l *life) foundAlone() error {
	var id election.FlockID
	if _, err := crand.Read(id[:]); err != nil {
		return fmt.Errorf("draw a flock id: %w", err)
	}
	c := election.Config{ConfigID: election.ConfigID{Version: 1}}
	c = c.With(election.Voter{ID: l.id, Priority: max(l.cfg.priority(), 1)})
	l.log.Info("founding a flock of one; give the next agents --join " + l.mux.Advertised().String())
	return l.takePart(election.Record{FlockID: id, Config: c}, l.disk.Fresh())
}

func (l *life) founderSettings() founding.Settings {
	return founding.Settings{Self: l.id, Expect: l.cfg.Expect, Voters: l.cfg.Voters}
}

// freshAgents gives the live agents that are bound to no flock.
func (l *life) freshAgents() (fresh []founding.Fresh) {
	for _, p := range l.peers {
		if p.State == api.StateAlive && p.Meta.FlockID.IsZero() {
			fresh = append(fresh, founding.Fresh{
				ID: p.ID, Name: p.Meta.Name, Expect: int(p.Meta.Expect), Priority: p.Meta.Priority, Observer: p.Meta.Observer,
			})
		}
	}
	return fresh
}

// seek binds this agent to the flock it sees, or moves a founding along.
func (l *life) seek(now time.Duration) error {
	if l.node != nil {
		return nil
	}
	if id, ok := l.foundedFlock(); ok {
		return l.takePart(l.recordFor(id), l.disk.Fresh())
	}
	if l.founding == nil {
		return nil
	}
	l.founding.See(now, l.freshAgents())
	return l.performFounding(l.founding.Tick(now))
}

// foundedFlock gives the flock of a live agent that is bound to one: any, or
// the one whose founding this agent has accepted.
func (l *life) foundedFlock() (election.FlockID, bool) {
	for _, p := range l.peers {
		if p.ID == l.id || p.State != api.StateAlive || p.Meta.FlockID.IsZero() {
			continue
		}
		if l.founding == nil || !l.founding.Bound() || l.founding.Obeys(p.Meta.FlockID) {
			return p.Meta.FlockID, true
		}
	}
	return election.FlockID{}, false
}

// recordFor gives what this disk knows of a flock: nothing, unless it was of
// that flock before it left.
func (l *life) recordFor(id election.FlockID) election.Record {
	if rec, ok := recordOf(l.disk.State()); ok && rec.FlockID == id {
		return rec
	}
	return election.Record{FlockID: id}
}

func (l *life) performFounding(fx founding.Effects) error {
	if fx.Save != nil {
		st := l.disk.State()
		st.Founding = *fx.Save
		if err := l.saveState(st); err != nil {
			return err
		}
		if err := l.disk.Settle(); err != nil {
			return l.failedDisk(err)
		}
		l.tellMeta()
	}
	for i := range fx.Send {
		l.sendFounding(&fx.Send[i])
	}
	if fx.Found == nil {
		return nil
	}
	l.spreadTo = l.founding.Set()
	l.log.Info("founded a flock", "flock_id", fx.Found.FlockID, "agents", len(l.spreadTo), "voters", fx.Found.Config.N)
	return l.takePart(*fx.Found, l.disk.Fresh())
}

func (l *life) sendFounding(w *founding.Word) {
	addr, ok := l.book.Addr(w.To)
	if !ok {
		l.noAddress.Add(1)
		return
	}
	f := &l.out
	f.Messages, f.FlockID, f.To, f.Founding = f.Messages[:0], election.FlockID{}, w.To, w.Word
	l.sendFrame(f, addr)
	f.Founding = wire.Founding{}
}

func (l *life) receiveFounding(a *arrival) error {
	w := a.Founding
	w.Set = slices.Clone(w.Set)
	switch {
	case l.founding != nil:
		return l.performFounding(l.founding.Receive(l.now(), a.From, &w))
	case l.node == nil:
		if w.Attempt <= l.disk.State().Founding.Aborted { // an attempt of this agent's that it does not go on with
			if word, ok := founding.Elsewhere(l.id, a.From, &w); ok {
				l.sendFounding(&word)
			}
		}
	case w.FlockID == l.flockID() && w.Kind == wire.FoundAccept:
		l.showConfig(a.From) // founded, and it has not heard
	case w.FlockID != l.flockID():
		if word, ok := founding.Elsewhere(l.id, a.From, &w); ok {
			l.sendFounding(&word)
		}
	}
	return nil
}

// obeyFounding takes part in the flock whose founding this agent accepted, as
// soon as a datagram of it shows that it was founded.
func (l *life) obeyFounding(a *arrival) error {
	if l.node != nil || l.founding == nil || !l.founding.Obeys(a.FlockID) || a.FlockID.IsZero() {
		return nil
	}
	return l.takePart(election.Record{FlockID: a.FlockID}, l.disk.Fresh())
}

// spread shows the founding config to the other founders until a goose is
// heard: without it nobody but this agent knows who may vote.
func (l *life) spread(now time.Duration) {
	if len(l.spreadTo) == 0 {
		return
	}
	if goose, _ := l.knownGoose(); !goose.IsZero() {
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
	l.sendElection(&election.Message{
		Kind: election.Reject, Config: rec.Config,
		Header: election.Header{
			FlockID: rec.FlockID, Generation: rec.Generation, From: l.id, To: to, Term: rec.Term, ConfigID: rec.Config.ConfigID,
		},
	})
}

// meta is what this agent tells of itself.
func (l *life) meta() peerMeta {
	return peerMeta{
		Name: l.cfg.Name, FlockID: l.flockID(), Start: l.start, Life: l.number, Priority: l.cfg.priority(),
		Expect: uint8(l.cfg.Expect), Observer: l.cfg.Observer, Tags: l.cfg.Tags,
		Accepted: l.founding != nil && l.founding.Bound(), Settled: l.settled, Holders: l.toldWork,
		PreemptAfter: l.cfg.preemptAfter(), Freeze: l.freezeTold(), Elections: l.contestsHash,
	}
}

func (l *life) tellMeta() {
	if err := l.gossip.SetMeta(l.meta()); err != nil {
		l.problem(err.Error())
	}
}

// listen opens the port.
func (a *Agent) listen() (Transport, error) {
	net, faults, err := a.cfg.Listen(a.cfg.Bind)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &TakenError{What: "port", Value: a.cfg.Bind, Flag: "bind", Cause: err}
	}
	if err != nil {
		return nil, err
	}
	if faults != nil {
		a.faults.Store(&faults)
	}
	return net, nil
}

// openNetwork begins to receive, and to gossip.
func (l *life) openNetwork(st store.State) (err error) {
	l.mux = &mux{
		net: l.net, self: l.id, label: l.cfg.Flock, keys: &l.keys, counts: l.counts, quiet: l.quiet,
		ours: l.inbox.take, advertise: l.cfg.Advertise, foreign: l.foreignLabel, mismatch: l.otherKeys, peer: l.peerBehind,
	}
	l.mux.start()
	bound, _ := recordOf(st)
	meta := l.meta()
	meta.FlockID = bound.FlockID
	var known []knownPeer
	for _, p := range l.disk.Peers() {
		if addr, err := netip.ParseAddrPort(p.Addr); err == nil && p.ID != l.id {
			known = append(known, knownPeer{p.ID, p.Name, addr})
			l.book.Gossiped(p.ID, 0, addr) // voters can talk before gossip has found them
		}
	}
	l.savePeers(known)
	l.gossip, err = startGossip(gossipOptions{
		ID: l.id, Label: l.cfg.Flock, Keys: l.cfg.Keys, Meta: meta, Join: l.cfg.Join, Known: known,
		At: l.mux.Advertised, Quiet: l.quiet, Problem: l.reportProblem, Save: l.savePeers, Counts: l.counts, Topics: l.topics(),
	}, l.mux, &gossipLog{log: l.log, quiet: l.quiet, over: l.mux.ctx.Done()})
	if err != nil {
		_ = l.mux.Shutdown()
		return err
	}
	return nil
}
