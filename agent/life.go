package agent

import (
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/checkup"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/internal/inbox"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/port"
	"duckduckgoose/wire"
)

// life is one life of an agent, from a start or a simulated revival to a stop or a
// simulated death. The member decides; the life carries out. Only the loop uses its
// fields, unless a comment says otherwise.
type life struct {
	*Agent // its fields are fixed, or safe for all goroutines

	log    *slog.Logger
	member *member.Member
	id     election.ID

	net    Transport
	port   *port.Port
	gossip *gossip.Gossip
	// gossiping is gossip for goroutines that run before it is there.
	gossiping atomic.Pointer[gossip.Gossip]
	inbox     *inbox.Inbox
	ahead     time.Duration // boot clock less monotonic clock, at the last turn that could tell
	readAt    time.Duration // when the last turn read the boot clock

	names map[election.ID]string // as gossip shows them

	name        nameCheck
	address     addressCheck
	warnings    warnings
	prober      *checkup.Prober
	peerLog     peerLog
	paths       meters.PathLoss
	looks       uint64  // of the member, when tend last ran
	republished besides // what readers of all elections were last shown
	born        time.Duration
	gossipAt    time.Duration // when the next round of gossip is due

	body  []byte
	batch *batch

	sent, sentBytes, sendErrors *atomic.Uint64
}

// newLife opens the port, then raises the disk's start count, then begins to gossip: if
// the port is taken, the disk does not change.
func (a *Agent) newLife() (*life, error) {
	net, err := a.listen()
	if err != nil {
		return nil, err
	}
	l, err := a.bornOn(net)
	if err != nil {
		return nil, errors.Join(err, net.Close())
	}
	return l, nil
}

func (a *Agent) bornOn(net Transport) (*life, error) {
	st, err := a.disk.Begin()
	if err != nil {
		return nil, fmt.Errorf("start on %s: %w", a.cfg.DataDir, err)
	}
	var drawn [8 + len(election.FlockID{})]byte
	if _, err := crand.Read(drawn[:]); err != nil {
		return nil, fmt.Errorf("draw a life number: %w", err)
	}
	l := &life{
		Agent: a, net: net, log: a.cfg.Logger, id: st.ID, names: map[election.ID]string{},
		name: nameCheck{pinged: make(chan nameHolder)}, warnings: warnings{members: newProblems(a.quiet), strangers: newProblems(a.strange)},
		body: make([]byte, 0, wire.MaxDatagram),
		sent: a.counts.Of("datagrams_sent"), sentBytes: a.counts.Of("bytes_sent"), sendErrors: a.counts.Of("send_errors"),
	}
	l.batch = newBatch(l.notSent)
	l.born = l.now()
	l.peerLog.before = a.disk.Names()
	l.ahead = l.born - l.monotonic() // too small after a pause here, which does no harm: there is no lease to drop yet
	l.inbox = inbox.New(l.id, &a.keys, a.counts, a.strange, l.otherKeys)
	set := l.settings()
	set.Life, set.FlockID, set.Fresh = binary.BigEndian.Uint64(drawn[:8]), election.FlockID(drawn[8:]), a.disk.Fresh()
	if f := a.freeze.Load(); f != nil {
		set.Freeze = *f
	}
	l.member = member.New(set, host{l}, st)
	if l.address.tells, err = port.ParseAdvertise(a.cfg.Advertise); err != nil {
		return nil, err
	}
	if err := l.openNetwork(); err != nil {
		return nil, err
	}
	l.prober = checkup.NewProber(host{l}, l.id, l.member, l.gossip)
	if err := l.member.Begin(); err != nil {
		l.close()
		return nil, err
	}
	for _, at := range a.otherLocals() {
		if l.member.Named(at.name) == nil {
			at.post(a.idleStatusOf(at.name), 0, a.cfg.Lease) // readers see dead until then
		}
	}
	return l, nil
}

// settings returns the member's settings, from the present configuration.
func (l *life) settings() member.Settings {
	c := &l.cfg
	return member.Settings{
		Name: c.Name, Heartbeat: c.Heartbeat, Lease: c.Lease, AutoLease: c.AutoLease, Expect: c.Expect, Elections: c.Elections,
		Joins: len(c.Join) > 0, Voters: c.Voters, Priority: c.OwnPriority(), Observer: c.Observer, Tags: c.Tags, Version: c.Version,
		PreemptAfter: c.PreemptsAfter(), Keyless: len(c.Keys) == 0, Wills: l.warden != nil,
	}
}

func (l *life) now() time.Duration       { return l.cfg.Clock() }
func (l *life) monotonic() time.Duration { return l.cfg.MonotonicClock() }

// node is the default election; nil: this disk has no flock yet.
func (l *life) node() *election.Node { return l.member.Default().Node() }

// fallSilent ends a lead of this agent, then sending and receiving.
func (l *life) fallSilent() {
	l.member.Silence(member.LeaseLost)
	if err := l.port.Shutdown(); err != nil {
		l.log.Debug("close network", "error", err)
	}
}

// close ends the life. It says no goodbye by gossip, which would look like a leave.
func (l *life) close() {
	l.voidWills()
	for _, e := range l.member.Elections() {
		e.Local().(*local).chronicleClose()
	}
	l.fallSilent()
	l.gossip.Shutdown()
}

// membersChanged applies the changes of gossip's view.
func (l *life) membersChanged() {
	changed, forgotten := l.gossip.Changes()
	l.warnings.stale = true
	for i := range changed {
		l.names[changed[i].ID] = changed[i].Meta.Name
	}
	l.member.ChangePeers(changed, forgotten)
	for _, id := range forgotten {
		if !l.member.IsKnown(id) { // the voters keep their names
			delete(l.names, id)
			delete(l.peerLog.states, id)
		}
	}
	l.logPeers(l.now(), changed)
}

// peers returns gossip's view as of the last change. Callers must not change it.
func (l *life) peers() []member.Peer { return l.member.Peers() }

// peerAlive returns a live agent by its id.
func (l *life) peerAlive(id election.ID) (member.Peer, bool) { return l.gossip.Alive(id) }

// peer returns the first agent for which is returns true.
func (l *life) peer(is func(*member.Peer) bool) (member.Peer, bool) {
	peers := l.peers()
	for i := range peers {
		if is(&peers[i]) {
			return peers[i], true
		}
	}
	return member.Peer{}, false
}
