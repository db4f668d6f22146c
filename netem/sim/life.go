package sim

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
)

const (
	// grace is how long work may take before a planned end. slept is how far the boot
	// clock must run ahead to count as a sleep. Both are package agent's values.
	grace = 5 * time.Second
	slept = 20 * time.Millisecond
)

// life is one process of an agent: a member and its surroundings.
type life struct {
	*agent
	number uint64
	member *member.Member
	store  *store.Store
	locals []*local

	// Of gossip.
	meta   member.Meta // as last published
	tells  uint64      // the number of changes of meta
	looks  int         // the number of looks
	views  []view      // sorted by id, this agent included
	marked bool        // a view was changed by MarkLeft

	shown  []election.Record // by number of the election: what the checker knows
	agreed election.ConfigID // the last config that it called committed
	rtt    time.Duration     // as the last leader said

	ahead     time.Duration // boot clock less monotonic clock, at the last turn
	inbox     []*flight
	waiting   []func()      // inputs that arrived while the loop did not run
	turnedAt  time.Duration // when it last read the clock for a turn
	busyUntil time.Duration // true time at which a slow disk releases the loop
	timerAt   time.Duration // true time of the timer; 0: none
	sessions  int           // the number of sessions in this life
	unfit     bool          // the result of its check: the work is unwell
	backIn    time.Duration // how long after its end it starts again; 0: it does not
	leaving   bool

	struck bool                             // it crashes when the loop returns: nothing has an effect any longer
	wills  map[string][]member.WillDatagram // by election

	late *store.State // planted: saved only after its effects
	held []*flight    // planted: sent only after that
}

// begin starts a life on an open disk.
func (s *Sim) begin(a *agent, disk *store.Store) error {
	st, err := disk.Begin()
	if err != nil {
		return err
	}
	a.lives++
	a.id = st.ID
	if s.disks[st.ID] == "" {
		s.disks[st.ID] = a.ident
	}
	l := &life{agent: a, number: a.lives, store: disk, busyUntil: s.now, ahead: a.clock.Slept, unfit: a.unwell, wills: map[string][]member.WillDatagram{}}
	set := a.set
	set.Life, set.Fresh = a.random.Uint64()|1, disk.Fresh()
	_, _ = a.random.Read(set.FlockID[:])
	a.life = l
	l.turnedAt = l.Now()
	for _, name := range append([]string{""}, set.Elections...) {
		at := l.localOf(name)
		for range a.holders {
			at.attach()
		}
	}
	l.member = member.New(set, l, st)
	l.meta = l.member.Meta()
	for _, p := range a.peers {
		l.member.Remember(p.ID, p.Addr)
	}
	if !st.Bound.IsZero() {
		s.record(l, &st)
	}
	l.after(a.random.Between(4*s.net.latency, gossipEvery/10), func() { s.gossip(l) })
	l.turn(func() error {
		err := l.member.Begin()
		if born := s.bugs.born; born != nil && err == nil {
			born(l)
		}
		return err
	})
	return nil
}

// Now reads the boot clock. While a slow disk holds the loop, the loop's time is ahead.
func (l *life) Now() time.Duration { return l.clock.Now(max(l.sim.now, l.busyUntil)) }

// node is the default election's; nil before this disk is bound to a flock.
func (l *life) node() *election.Node { return l.member.Default().Node() }

// runs reports whether the loop of this life takes inputs now.
func (l *life) runs() bool { return l.agent.runs() && l.agent.life == l && l.sim.now >= l.busyUntil }

// input gives the loop an input, now or when it runs again.
func (l *life) input(do func()) {
	switch {
	case l.agent.life != l:
	case !l.runs():
		l.waiting = append(l.waiting, do)
	default:
		l.turn(func() error { do(); return nil })
	}
}

// turn is one round of the loop: an input, waiting datagrams (rule 17), then the
// member's turn. One reading of the clock serves the datagrams and that turn, as in
// package agent. It ends the life if there is a reason.
func (l *life) turn(in func() error) {
	done, err := l.turned(in)
	s := l.sim
	switch {
	case l.struck:
		s.strike(l)
	case err != nil:
		s.diskFailed(l.agent)
	case done:
		s.close(l)
	default:
		l.arm()
	}
}

func (l *life) turned(in func() error) (done bool, err error) {
	if in != nil {
		if err := in(); err != nil {
			return false, err
		}
	}
	now := l.Now()
	received := now
	if l.sim.bugs.early {
		received = l.turnedAt
	}
	l.turnedAt = now
	jump := l.clock.Slept - l.ahead
	l.ahead = l.clock.Slept
	if jump >= slept {
		l.member.Slept()
	}
	l.stall()
	for len(l.inbox)+len(l.waiting) > 0 {
		inbox, waiting := l.inbox, l.waiting
		l.inbox, l.waiting = nil, nil
		for i, f := range inbox {
			err := l.receive(received, f)
			l.sim.net.done(f)
			if err != nil {
				l.inbox = inbox[i+1:]
				return false, err
			}
		}
		for _, do := range waiting {
			do()
		}
	}
	looks := l.member.Looks()
	if done, err = l.member.Turn(now); err != nil {
		return done, err
	}
	if looks != l.member.Looks() {
		l.member.Republish(l.Now(), true)
	}
	l.sim.agree(l)
	return done, l.saveLate()
}

// stall lets the loop pause now and then, after it has read the clock.
func (l *life) stall() {
	if most := l.sim.bugs.stalls; most > 0 && l.random.OneIn(30) {
		l.busyUntil = max(l.sim.now, l.busyUntil) + l.random.Between(most/100, most)
	}
}

// receive passes one datagram to the member.
func (l *life) receive(now time.Duration, f *flight) error {
	if f.frame.To != l.id || l.struck {
		return nil
	}
	if forge := l.forge; forge != nil && len(f.frame.Messages) > 0 {
		l.agent.forge = nil
		forge(&f.frame)
	}
	l.sim.trace.mix(uint64(l.index), uint64(f.from.index), f.frame.Seq, uint64(f.frame.Founding.Kind), uint64(len(f.frame.Messages)))
	_, err := l.member.Receive(now, &f.frame, f.fromAddr)
	return err
}

// arm sets the timer for the next event, unless an earlier timer is set.
func (l *life) arm() {
	s := l.sim
	t := max(l.clock.At(s.now, l.member.WakeAt(0)), s.now+1, l.busyUntil)
	if l.timerAt != 0 && l.timerAt <= t && l.timerAt > s.now {
		return
	}
	l.timerAt = t
	l.after(t-s.now, l.wake)
}

// wake handles the timer.
func (l *life) wake() {
	if l.timerAt > l.sim.now {
		return // it was replaced by another
	}
	l.timerAt = 0
	if l.agent.runs() { // otherwise resume makes a turn
		l.turn(nil)
	}
}

// close ends a life that stopped by itself. Its work was stopped before.
func (s *Sim) close(l *life) {
	a := l.agent
	a.gone = l.meta.Left && l.backIn == 0
	err := l.store.Close()
	for _, at := range l.locals {
		for _, h := range at.holders {
			s.drainNow(h)
		}
	}
	s.note(a, "has stopped")
	s.crash(a, false)
	if err != nil {
		s.stats.DiskFailures++
	}
	if l.backIn > 0 {
		s.after(l.backIn, func() { s.start(a) })
	}
}
