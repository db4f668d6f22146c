package agent

import (
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/checkup"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/inbox"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/meters"
	"duckduckgoose/agent/port"
	"duckduckgoose/wire"
)

// life is one life of an agent, from a start or a simulated revival to a stop or
// a simulated death. The member decides; a life is what it acts with. Its fields
// are the loop's own, but for those that say otherwise.
type life struct {
	*Agent // the fixed parts, and those that are safe to share

	log    *slog.Logger
	member *member.Member
	id     election.ID

	net    Transport
	port   *port.Port
	gossip *gossip.Gossip
	inbox  *inbox.Inbox
	ahead  time.Duration // boot clock less monotonic clock, at the last turn

	// What gossip shows, as of the last change.
	peers []member.Peer
	names map[election.ID]string
	byID  atomic.Pointer[map[election.ID]member.Peer] // read by streams

	name     nameCheck
	address  addressCheck
	warnings warnings
	prober   *checkup.Prober
	paths    meters.PathLoss
	looks    uint64 // of the member, when tend last ran
	born     time.Duration

	body     []byte
	datagram []byte

	sent, sentBytes, sendErrors *atomic.Uint64
}

// newLife opens the port, raises the disk's start count and begins to gossip.
// A port that is taken leaves no trace on the disk.
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
		body: make([]byte, 0, wire.MaxDatagram), datagram: make([]byte, 0, wire.MaxDatagram),
		sent: a.counts.Of("datagrams_sent"), sentBytes: a.counts.Of("bytes_sent"), sendErrors: a.counts.Of("send_errors"),
	}
	l.born = l.now()
	l.ahead = l.born - l.monotonic() // too small after a pause here: then the first turn finds no lease to drop
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
			at.snapshots.post(a.idleStatusOf(at.name), 0, a.cfg.Lease) // after a death it says so still
		}
	}
	return l, nil
}

// settings are the member's, from the configuration as it is now.
func (l *life) settings() member.Settings {
	c := &l.cfg
	return member.Settings{
		Name: c.Name, Heartbeat: c.Heartbeat, Lease: c.Lease, Expect: c.Expect, Elections: c.Elections,
		Joins: len(c.Join) > 0, Voters: c.Voters, Priority: c.OwnPriority(), Observer: c.Observer, Tags: c.Tags,
		PreemptAfter: c.PreemptsAfter(),
	}
}

func (l *life) now() time.Duration       { return l.cfg.Clock() }
func (l *life) monotonic() time.Duration { return l.cfg.MonotonicClock() }

// node is the default election's rules; nil before this disk is bound to a flock.
func (l *life) node() *election.Node { return l.member.Default().Node() }

// fallSilent makes this agent no goose, then nothing comes or goes any more.
func (l *life) fallSilent() {
	l.member.Silence(member.LeaseLost)
	if err := l.port.Shutdown(); err != nil {
		l.log.Debug("close network", "error", err)
	}
}

// close ends the life: no goodbye by gossip, which would look like a leave.
func (l *life) close() {
	l.fallSilent()
	l.gossip.Shutdown()
}

// membersChanged takes gossip's view in.
func (l *life) membersChanged() {
	l.peers = l.gossip.Peers()
	l.learnNames()
	byID := make(map[election.ID]member.Peer, len(l.peers))
	for _, p := range l.peers {
		byID[p.ID] = p
	}
	l.byID.Store(&byID)
	l.findAddressFaults()
	l.member.SetPeers(l.peers)
}

// peerAlive gives a live agent by its id.
func (l *life) peerAlive(id election.ID) (member.Peer, bool) {
	i := slices.IndexFunc(l.peers, func(p member.Peer) bool { return p.ID == id && p.State == member.Alive })
	if i < 0 {
		return member.Peer{}, false
	}
	return l.peers[i], true
}
