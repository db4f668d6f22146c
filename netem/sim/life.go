package sim

import (
	"errors"
	"net/netip"
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/founding"
	"duckduckgoose/agent/store"
)

// errCrashed ends whatever a life was doing when it was struck.
var errCrashed = errors.New("crashed")

// life is one process of an agent, as package agent's life is: what it does,
// and in which order, follows that package file by file.
type life struct {
	*agent
	start  uint64
	number uint64
	seq    uint64

	store    *store.Store
	node     *election.Node // nil before this disk is bound to a flock
	fx       election.Effects
	wakeAt   time.Duration // by the boot clock
	judgeAt  time.Duration // a late timeout is judged then; 0: none is late
	ahead    time.Duration // boot clock less monotonic clock, at the last turn
	founding *founding.Founder
	pilot    autopilot.Pilot

	looks      int    // around, by gossip
	views      []view // what gossip shows, sorted by id, this agent included
	book       map[election.ID]page
	audience   []election.ID
	leaveAsked map[election.ID]time.Duration
	forced     []forced
	rtt        time.Duration // as the last leader told
	spreadTo   []election.ID
	contacts   []election.Contact

	board      election.Lease // as readers see it
	holders    []*holder
	handing    *handover
	late       bool
	unfitAt    time.Duration
	tableAt    time.Duration     // when this goose next adds to the table
	agreed     election.ConfigID // the config that it last said a majority had taken
	leaves     bool              // it wants to leave the flock
	askAt      time.Duration
	leaveTries int // hand-overs of a goose that leaves
	stopping   stopping
	choresAt   time.Duration

	sessions  int // made in this life
	inbox     []*flight
	tells     []func() error // what holders said while the loop did not run
	busyUntil time.Duration  // true time until which a slow disk holds the loop
	timerAt   time.Duration  // true time of the timer that is set; 0: none
}

// forced is an agent that somebody has forced out.
type forced struct {
	id    election.ID
	until time.Duration
}

// page is where an agent was last seen (rule 10).
type page struct {
	addr       netip.AddrPort
	start, seq uint64
	life       uint64         // which process it is; 0: not known
	told, left netip.AddrPort // what gossip last said, and what before
}

// knownPeer is one line of the peers file.
type knownPeer struct {
	id   election.ID
	addr netip.AddrPort
}

// begin makes a life on an open disk, as agent.newLife does.
func (s *Sim) begin(a *agent, disk *store.Store) error {
	st, err := disk.Begin()
	if err != nil {
		return err
	}
	a.lives++
	a.id = st.ID
	s.disks[st.ID] = a.ident
	l := &life{
		agent: a, start: st.Start, number: a.lives, store: disk,
		book: map[election.ID]page{}, leaveAsked: map[election.ID]time.Duration{}, busyUntil: s.now,
	}
	l.ahead = a.clock.slept
	for range a.holders {
		l.sessions++
		l.holders = append(l.holders, l.newHolder(l.sessions))
	}
	for _, p := range a.peers {
		l.book[p.id] = page{addr: p.addr}
	}
	a.life = l
	s.queue.push(occurrence{at: s.now + between(&a.dice, 4*s.net.latency, gossipEvery/10), what: onGossip, agent: a, life: l.number})
	rec, ok := recordOf(st)
	switch {
	case ok && !st.Bound.IsZero():
		s.record(l, rec)
		if rec.Config.Term == 0 && st.Founding.Coordinator == l.id && st.Founding.FlockID == rec.FlockID {
			l.spreadTo = st.Founding.Set
		}
		err = l.takePart(rec, false)
	case a.expects || !st.Founding.FlockID.IsZero():
		l.founding = founding.New(founding.Settings{Self: a.id, Expect: s.set.Expect, Voters: s.set.Voters}, st.Founding)
	case !a.joins:
		err = l.foundAlone()
	}
	if err != nil {
		return err
	}
	l.arm()
	return nil
}

// now reads the boot clock; a slow disk holds the loop, so its own time is ahead.
func (l *life) now() time.Duration { return l.clock.now(max(l.sim.now, l.busyUntil)) }

func (l *life) flock() string {
	if l.node == nil {
		return ""
	}
	return l.sim.flockName(l.flockID())
}

func (l *life) flockID() election.FlockID {
	if l.node == nil {
		return election.FlockID{}
	}
	return l.node.Record().FlockID
}

// takePart makes the node of a record; the record is durable before it acts.
func (l *life) takePart(rec election.Record, fresh bool) error {
	rec.PromiseMax = max(rec.PromiseMax, l.timing.Lease)
	st := l.store.State()
	if old, known := recordOf(st); !known || old != rec || st.Bound != rec.FlockID || st.Left {
		setRecord(&st, rec)
		st.Bound, st.Left = rec.FlockID, false
		if err := l.saveState(st); err != nil {
			return err
		}
	}
	l.sim.record(l, rec)
	node := election.New(election.Settings{
		ID: l.id, Life: l.number, Heartbeat: l.timing.Heartbeat, Lease: l.timing.Lease, Eps: l.timing.Lease / 50, Seed: l.dice.Uint64(),
	}, rec, l.now(), l.sim.bugs.fresh(fresh))
	l.node = &node
	l.founding = nil
	if err := l.syncHolders(); err != nil {
		return err
	}
	if err := l.membersChanged(); err != nil {
		return err
	}
	return l.step(election.Tick{})
}

// fail ends a life whose work returned an error. A crash has ended it already.
func (s *Sim) fail(l *life, err error) {
	switch {
	case err == nil:
		if l.stopping.done && s.live(l) {
			s.close(l)
		}
	case errors.Is(err, errCrashed):
	default:
		s.diskFailed(l.agent)
	}
}

// diskFailed ends a process whose disk has failed; whoever watches over it
// tries again later.
func (s *Sim) diskFailed(a *agent) {
	s.stats.DiskFailures++
	s.note(a, noteDiskFailed, 0, 0)
	s.crash(a, false)
	s.queue.push(occurrence{at: s.now + between(&a.dice, time.Second, 20*time.Second), what: onStart, agent: a})
}

func (s *Sim) live(l *life) bool { return l.agent.life == l }

// close ends a life by its own will: its work was stopped before.
func (s *Sim) close(l *life) {
	a := l.agent
	if err := l.store.Close(); err != nil && a.armed == noCrash && !errors.Is(err, errDisk) {
		s.broke(err)
	}
	for _, h := range l.holders {
		s.drainNow(h)
	}
	s.note(a, noteStop, 0, 0)
	s.crash(a, false)
	a.gone = l.leaves && l.stopping.backIn == 0
	if l.stopping.backIn > 0 {
		s.queue.push(occurrence{at: s.now + l.stopping.backIn, what: onStart, agent: a})
	}
}

// setRecord and recordOf reach the default election's record of a state.
func setRecord(st *store.State, rec election.Record) {
	for i := range st.Elections {
		if st.Elections[i].Number == 0 {
			st.Elections[i].Record = rec
			return
		}
	}
	st.Elections = append(st.Elections, store.Election{Record: rec})
}

func recordOf(st store.State) (election.Record, bool) {
	for _, e := range st.Elections {
		if e.Number == 0 {
			return e.Record, true
		}
	}
	return election.Record{}, false
}
