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

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/founding"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// life is one life of an agent. Its fields are the loop's own, but for those
// that say otherwise.
type life struct {
	*Agent // the fixed parts, and those that are safe to share

	log    *slog.Logger
	id     election.ID
	start  uint64 // process starts of this disk (rule 10)
	number uint64 // random per life (rule 10)
	seq    uint64 // datagrams sent in this life

	net    Transport
	mux    *mux
	gossip *gossip
	inbox  *inbox
	book   *addressBook

	contest             // the default election's
	contests []*contest // all, the default one first
	touched  []*contest // those that flush has something to do for
	outbox   outbox
	frameAt  time.Duration // when the frame being read was taken up
	broken   error         // why nothing may be saved or sent any more
	restAt   time.Duration // no contest needs a turn before, but for what comes in
	handings int           // hand-overs under way

	table       table
	contestants contestants
	unevenAt    time.Duration // since when the elections are spread unevenly; 0: they are not
	spreadAt    time.Duration // when the next may move

	prober   prober
	paths    pathMeters
	sighted  sightings
	ahead    time.Duration     // boot clock less monotonic clock, at the last turn
	founding *founding.Founder // nil unless --expect has still to be met
	pilot    autopilot.Pilot

	preemption autopilot.Preemption
	heir       autopilot.Heir // as it was last decided, while this agent leads

	peers       []peer // gossip's view, as of the last change
	names       map[election.ID]string
	alive       int
	membersSeen uint64 // grows with every change of peers
	leaveAsked  map[election.ID]time.Duration
	forceOut    map[election.ID]forced

	moveAt   time.Duration // when the own address is next looked at
	movedFor int           // how often in a row it was gone
	moved    bool          // this life ends for another address
	toldWork bool          // what the others were told of holders here
	// toldFreeze is what they were told of a freeze.
	toldFreeze freezeNotice
	unfitAt    time.Duration // when a goose that should be none tries to hand over again
	spreadTo   []election.ID
	byID       atomic.Pointer[map[election.ID]peer] // read by streams
	reports    chan string                          // problems from other goroutines
	settled    bool                                 // an elder by name (names.go)
	pinging    bool
	pinged     chan nameHolder
	born       time.Duration
	departure  *departure
	leaving    stopping

	choresAt   time.Duration
	nameWarned bool
	problems   []timedWarning
	warnings   []string
	// warningText is the warnings joined, for comparing.
	warningText string
	netem       string

	out      wire.Frame
	body     []byte
	datagram []byte

	sent, sentBytes, sendErrors, noAddress *atomic.Uint64
}

// timedWarning is a warning about something that happened, shown for a while.
type timedWarning struct {
	text  string
	until time.Duration
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
	var number [8]byte
	if _, err := crand.Read(number[:]); err != nil {
		return nil, fmt.Errorf("draw a life number: %w", err)
	}
	l := &life{
		Agent: a, net: net, log: a.cfg.Logger, id: st.ID, start: st.Start, number: binary.BigEndian.Uint64(number[:]),
		names: map[election.ID]string{}, leaveAsked: map[election.ID]time.Duration{},
		forceOut: map[election.ID]forced{}, reports: make(chan string, problemsKept), pinged: make(chan nameHolder),
		body: make([]byte, 0, wire.MaxDatagram), datagram: make([]byte, 0, wire.MaxDatagram),
		sent: a.counts.of("datagrams_sent"), sentBytes: a.counts.of("bytes_sent"),
		sendErrors: a.counts.of("send_errors"), noAddress: a.counts.of("no_address"),
	}
	l.contest = contest{l: l, seat: a.seat}
	l.contests = []*contest{&l.contest}
	l.book = newAddressBook(l.isKnown)
	l.born = l.now()
	l.ahead = l.born - l.monotonic() // too small after a pause here: then the first turn finds no lease to drop
	l.inbox = newInbox(l.id, &a.keys, a.counts, a.quiet, l.otherKeys)
	l.table.load(st)
	l.outbox.heartbeat = a.cfg.Heartbeat
	if err := l.openNetwork(st); err != nil {
		return nil, err
	}
	if err := l.begin(st); err != nil {
		l.close()
		return nil, err
	}
	for _, s := range a.allSeats() {
		if l.contestAt(s) == nil {
			s.board.post(a.idleStatusOf(s.name), 0, a.cfg.Lease) // after a death it says so still
		}
	}
	return l, nil
}

func (l *life) now() time.Duration       { return l.cfg.Clock() }
func (l *life) monotonic() time.Duration { return l.cfg.MonotonicClock() }

// begin takes part in the election from the disk, or looks for a flock.
func (l *life) begin(st store.State) error {
	rec, ok := recordOf(st)
	switch {
	case ok && !st.Bound.IsZero():
		if rec.Config.Term == 0 && st.Founding.Coordinator == l.id && st.Founding.FlockID == rec.FlockID {
			l.spreadTo = slices.Clone(st.Founding.Set) // it founded, and may not have told the others yet
		}
		return l.takePart(rec, false)
	case l.cfg.Expect > 0 || !st.Founding.FlockID.IsZero(): // an acceptance binds whatever the flags say now
		l.founding = founding.New(l.founderSettings(), st.Founding)
		l.tellMeta()
	case len(l.cfg.Join) == 0:
		return l.foundAlone()
	}
	l.publish(l.now())
	return nil
}

// takePart makes the node of a record; the record is durable before it acts.
func (l *life) takePart(rec election.Record, fresh bool) error {
	if rec.PromiseMax < l.cfg.Lease {
		rec.PromiseMax = l.cfg.Lease
	}
	st := l.disk.State()
	old, known := recordOf(st)
	if !known || old != rec || st.Bound != rec.FlockID || st.Left {
		if known && old.FlockID != rec.FlockID {
			st.Elections = nil // another flock's
			l.table = table{}
		}
		setRecord(&st, rec)
		st.Bound, st.Left = rec.FlockID, false
		if err := l.saveState(st); err != nil {
			return err
		}
	}
	node := election.New(l.settings(), rec, l.now(), fresh)
	l.node = &node
	l.changed = true
	l.founding = nil
	l.log.Info("bound to flock", "flock_id", rec.FlockID, "term", rec.Term, "voters", rec.Config.N)
	l.tellMeta()
	l.syncHolders()
	for i := range l.table.entries {
		if e := &l.table.entries[i]; e.Started {
			l.startElection(e, false)
		}
	}
	l.membersChanged()
	l.step(election.Tick{})
	return nil
}

// settings are the nodes' of all elections.
func (l *life) settings() election.Settings {
	h := l.cfg.Heartbeat
	return election.Settings{
		ID: l.id, Heartbeat: h, Lease: l.cfg.Lease, Eps: l.cfg.Lease / 50, Seed: l.number,
		Grid: 1 + time.Duration(l.number%uint64(h)), // agents of one machine do not all send at once
	}
}

// flockID is the flock this disk is bound to; zero: none yet.
func (l *life) flockID() election.FlockID {
	if l.node == nil {
		return election.FlockID{}
	}
	rec := l.node.Record()
	return rec.FlockID
}

// silenceAll makes this agent no goose of any election.
func (l *life) silenceAll(cause string) {
	for _, c := range l.contests {
		c.silence(cause)
	}
}

// fallSilent makes this agent no goose, then nothing comes or goes any more.
func (l *life) fallSilent() {
	l.silenceAll(stopLost)
	if err := l.mux.Shutdown(); err != nil {
		l.log.Debug("close network", "error", err)
	}
}

// close ends the life: no goodbye by gossip, which would look like a leave.
func (l *life) close() {
	l.fallSilent()
	l.gossip.Shutdown()
}
