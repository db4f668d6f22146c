package member

import (
	"time"

	"duckduckgoose/agent/election"
)

const (
	// idleWake bounds how long a member sleeps, so that its host can tell a hung loop from
	// an idle one.
	idleWake = 250 * time.Millisecond
	// readGrace is the time that a member, after a late wake-up, gives its host to read
	// waiting datagrams before it judges a timeout (rule 17).
	readGrace = 5 * time.Millisecond
	// configEvery is the number of rounds between two announcements with the config:
	// agents that are not voters rarely need it.
	configEvery = 20
)

// Election is this agent's part in one election, for one life. What each heartbeat reads
// comes first, close together: of 100 elections the processor's cache holds little.
type Election struct {
	m         *Member
	node      *election.Node    // nil before this disk is bound to a flock
	fx        *election.Effects // of its last step; all but the default election share one
	local     Local
	number    uint64 // in the flock's table of elections; 0: the default one
	contested bool   // this agent may lead it; in the others it only votes
	touched   bool   // act has something to do for it
	dirty     bool   // its record is newer than the disk
	changed   bool   // its record is newer than what readers see
	health    Health
	fitness   election.Fitness // as the node was told
	lease     election.Lease   // as granted to readers
	wakeAt    time.Duration
	judgeAt   time.Duration // a late timeout is judged then; 0: none is late
	lapseAt   time.Duration // when time alone changes what readers see; 0: never
	shown     shown
	calm      bool          // see Calm
	asks      int           // since askedAt, up to asksGrow
	goosedAt  time.Duration // when a goose was last known
	version   uint64        // grows with every change of record
	pacer     *pacer        // chooses the pace of this lead; nil: it is fixed, or this agent does not lead
	pause     time.Duration // the longest of the loop that no ack has told of
	handover  *handover     // a planned end under way
	committed uint64        // the largest mark that a majority has saved, this agent included; 0 unless it leads
	notBefore time.Duration // this agent waits until then, so that the first in line of an election other than the default one leads first; 0: it need not
	acked     lastAck       // the last ack sent

	name     string          // "": the default election
	record   election.Record // as readers see it
	advances []advance       // wait for their majority
	ended    bool            // this election no longer delays the end of this life
	busy     bool            // the node was told that it may not campaign
	will     will            // as the host keeps it

	passing       passing
	audience      []election.ID // live agents that the node does not keep in view
	audienceOf    audienceOf
	audienceStale bool
	roomy         bool  // the node may have room for more in view, or better ones are there
	worst         uint8 // the lowest priority of an observer in view
	waiting       bool  // others wait for places in view
	reviewAt      time.Duration
	contacts      []election.Contact
	viewed        viewed // what keepInView last looked at

	workedAt time.Duration // when this agent last had work
	fitterAt time.Duration // when it may next hand over to a fitter one
	silentAt time.Duration // when it may because its work does not answer
	// silentPause is the next pause between two such times.
	silentPause time.Duration
	askedAt     time.Duration // when the goose or the config was last asked for

	// Elections other than the default one.
	movedAt time.Duration // when it was last handed over for its voters' sake
	cares   bool          // it leads, or may, though this agent does not contest it
}

// audienceOf is all that decides who the audience is, besides gossip's view.
type audienceOf struct {
	config  election.ConfigID
	byTrees bool
}

// viewed is all that decides whom an election keeps in view.
type viewed struct {
	config, own election.ConfigID
}

// lastAck is what an ack tells about the leader and the config it answers.
type lastAck struct {
	leader election.ID
	term   uint64
	config election.ConfigID
}

// step gives the node one input. Its effects wait for the end of the turn, except what
// ends the goose's lease (see act).
func (e *Election) step(in election.Input) { e.stepAt(e.m.host.Now(), in) }

// stepAt is step for a caller that has just read the clock.
func (e *Election) stepAt(now time.Duration, in election.Input) {
	was := e.node.Lease()
	e.node.Step(now, in, e.fx)
	if e.pacer != nil {
		e.pacer.measure(now, e.fx, was, e.node.Lease())
	}
	if e.number == 0 && e.fx.Save {
		e.m.takeTable()
	}
	e.retract(e.node.Lease())
	for i := range e.fx.Send {
		e.tellPause(&e.fx.Send[i])
		e.sendAt(now, &e.fx.Send[i])
	}
	if e.fx.Announce {
		msg := &e.fx.Announcement
		if e.number != 0 && msg.Round%configEvery != 0 {
			msg.Config = election.Config{}
		}
		e.m.beats = e.m.beats || e.number == 0 && msg.Kind == election.Heartbeat
		byTrees := msg.Kind == election.Heartbeat && e.tellsByTrees()
		for _, id := range e.listAudience(byTrees) {
			msg.To = id
			e.sendAt(now, msg)
		}
	}
	if e.number == 0 {
		e.m.noteLoss()
	}
	e.tellEvents()
	e.wakeAt = e.fx.WakeAt
	e.dirty, e.changed = e.dirty || e.fx.Save, e.changed || e.fx.Save
	e.touch()
}

// touch marks the election for act.
func (e *Election) touch() {
	if !e.touched {
		e.touched = true
		e.m.touched = append(e.m.touched, e)
	}
}

// send sends one message at the end of the turn, to the agent it names.
func (e *Election) send(msg *election.Message) { e.sendAt(e.m.host.Now(), msg) }

func (e *Election) sendAt(now time.Duration, msg *election.Message) {
	if e.number == 0 {
		e.m.sightings.asking(msg, now)
	}
	e.m.outbox.add(now, e.number, msg, len(e.m.elections) > 1 && e.mayWait(msg))
}

// mayWait reports whether an ack tells its leader nothing new: then it may wait to share
// a datagram. The first ack of a leader or a config must not wait, nor that of a mark or of
// a promise that is short for the wait.
func (e *Election) mayWait(msg *election.Message) bool {
	short := 8 * e.m.set.Heartbeat // the wait takes more than one of them: too few would be left for losses
	if e.m.set.AutoLease {
		short = 10 * e.m.set.Heartbeat // else the wait would keep the lease from getting shorter
	}
	if msg.Kind != election.HeartbeatAck || msg.Promise < short || msg.Mark != 0 {
		return false
	}
	was := e.acked
	e.acked = lastAck{msg.To, msg.Term, msg.ConfigID}
	return was == e.acked
}

// tellEvents reports the events of a step.
func (e *Election) tellEvents() {
	m := e.m
	for _, ev := range e.fx.Events {
		m.host.Count("election_" + counters[ev.Kind])
		if ev.Kind == election.EventResigned && e.handover != nil {
			e.handover.resigned = true
		}
		if ev.Kind == election.EventVoters || ev.Kind == election.EventInstalled {
			m.LookNow() // others are kept in view now
		}
		m.host.Tell(Event{Kind: EventElection, Election: e.name, What: ev.Kind, Term: ev.Term, Peer: ev.Peer, Voters: int(e.node.Record().Config.N)})
	}
}

// due reports whether it is time to judge the node's timeout. After a late wake-up, the
// host's reader first gets a moment.
func (e *Election) due(now time.Duration) bool {
	switch {
	case e.node == nil || e.wakeAt == 0 || now < e.wakeAt:
		e.judgeAt = 0
		return false
	case e.judgeAt == 0 && now-e.wakeAt >= e.m.set.Heartbeat:
		e.judgeAt = now + readGrace
		return false
	case now < e.judgeAt:
		return false
	}
	e.judgeAt = 0
	return true
}

// restUntil returns when the election needs its next turn, at the latest at.
func (e *Election) restUntil(now, at time.Duration) time.Duration {
	if e.node != nil && e.wakeAt > 0 {
		at = min(at, max(e.wakeAt, e.judgeAt))
	}
	if e.lapseAt > now {
		at = min(at, e.lapseAt)
	}
	return at
}

// goose returns Goose at this moment.
func (e *Election) goose() (id election.ID, self bool) { return e.Goose(e.m.host.Now()) }

// Goose returns the goose as readers see it, and whether it is this agent; zero: none.
func (e *Election) Goose(now time.Duration) (id election.ID, self bool) {
	if e.node == nil {
		return id, false
	}
	if lease := e.node.Lease(); lease.Token != 0 && lease.Until > now {
		return e.m.id, true
	}
	id, _, heardAt := e.node.Heard()
	if heardAt != 0 && now < heardAt+e.node.HeardLease() && id != e.m.id {
		return id, false
	}
	return election.ID{}, false
}

// HoldersChanged tells the node what binds it, and continues a hand-over that waited for
// work to end. The host calls it when an election's holders or health change.
func (m *Member) HoldersChanged(e *Election) {
	e.tellHolders()
	e.progressHandover(m.host.Now())
}

// HolderAttached is HoldersChanged for a new holder, which gets the current deadline.
// From now on this agent's deadlines bind it.
func (m *Member) HolderAttached(e *Election) {
	m.HoldersChanged(e)
	if e.handover == nil && e.lease.Until > m.host.Now() {
		e.local.Grant(e.lease, false)
	}
}

// WorkEnded says that all work under a token has ended by itself: this agent
// steps down, if it is still the goose of that token.
func (m *Member) WorkEnded(e *Election, token uint64) {
	if e.node == nil || e.node.Lease().Token != token {
		return
	}
	if e.handover != nil {
		e.handover.unwell = false // this agent steps down, however well it is
		return
	}
	e.stepDown(election.ID{}, func(_ election.ID, err error) {
		if err != nil {
			m.host.Tell(Event{Kind: EventWorkEnded, Election: e.name, Err: err})
		}
	})
}

// tellHolders tells the node what binds it: whether deadlines are handed out, whether
// all work has ended, whether this agent may campaign, and how fit it is.
func (e *Election) tellHolders() {
	if e.node == nil {
		return
	}
	e.calm, e.shown = false, shown{}
	holders := e.local.Holders()
	e.tellFitness(holders)
	attached := holders.Working > 0 || e.handover == nil && holders.Attached > 0
	e.step(election.Holders{Attached: attached})
	if !attached {
		e.step(election.Drained{})
	}
	busy := holders.Late > 0 || !e.contested && !e.cares || e.notBefore != 0 || e.ended
	if busy != e.busy {
		e.busy = busy
		e.step(election.Busy{Late: busy})
	}
}
