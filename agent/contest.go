package agent

import (
	"log/slog"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// seat is this agent's place in one election. It outlives simulated deaths, so
// that readers and holders keep what they are attached to.
type seat struct {
	name      string // "": the default election
	contested bool   // this agent may lead it; others it only votes in
	board     *board
	holders   *holders
}

func (a *Agent) newSeat(name string) *seat {
	return &seat{
		name: name, board: &board{clock: a.cfg.Clock, started: a.cfg.Clock(), counts: a.counters}, holders: &holders{},
	}
}

// configEvery is after how many rounds an announcement carries the config again:
// agents that are no voters need it rarely.
const configEvery = 20

// contest is this agent's part in one election, for one life. Its fields are the loop's own.
type contest struct {
	l      *life
	seat   *seat
	number uint64 // in the flock's table of elections; 0: the default one

	node    *election.Node // nil before this disk is bound to a flock
	fx      election.Effects
	touched bool           // flush has something to do for it
	dirty   bool           // its record is newer than the disk
	changed bool           // its record is newer than what readers see
	lease   election.Lease // as published

	// others wait until notBefore, so that the first in line leads from the beginning; 0: no more.
	notBefore time.Duration

	wakeAt  time.Duration
	judgeAt time.Duration // a late timeout is judged then; 0: none is late

	audience []election.ID // live agents that the node does not keep in view
	contacts []election.Contact

	acked    acked         // the last ack sent
	movedAt  time.Duration // when it was last handed over for its voters' sake
	viewed   view          // what keepInView last looked at
	cares    bool          // leads, or may, though it does not contest it
	goosedAt time.Duration // when a goose was last known
	askedAt  time.Duration // when its config was last asked for
	handing  *handover
	ended    bool // nothing keeps this life from ending any more
	late     bool // told the node that work goes on past its deadline

	shown       visible
	shownRecord election.Record
	shownToken  uint64
	shownOnce   bool
	lapseAt     time.Duration
}

// step tells the node one thing. What follows waits for the end of the turn,
// but for what takes goose-ship away (see flush).
func (c *contest) step(in election.Input) { c.stepAt(c.l.now(), in) }

// stepAt is step for a loop that has just looked at the clock.
func (c *contest) stepAt(now time.Duration, in election.Input) {
	c.node.Step(now, in, &c.fx)
	if c.number == 0 && c.fx.Save {
		c.l.takeTable()
	}
	c.retract(c.node.Lease())
	for i := range c.fx.Send {
		c.sendAt(now, &c.fx.Send[i])
	}
	if c.fx.Announce {
		m := &c.fx.Announcement
		if c.number != 0 && m.Round%configEvery != 0 {
			m.Config = election.Config{}
		}
		for _, id := range c.audience {
			m.To = id
			c.sendAt(now, m)
		}
	}
	c.count()
	c.wakeAt = c.fx.WakeAt
	c.dirty, c.changed = c.dirty || c.fx.Save, c.changed || c.fx.Save
	if !c.touched {
		c.touched = true
		c.l.touched = append(c.l.touched, c)
	}
}

// sendElection sends one message of the election, at the end of the turn, to
// the agent it names.
func (c *contest) sendElection(m *election.Message) { c.sendAt(c.l.now(), m) }

func (c *contest) sendAt(now time.Duration, m *election.Message) {
	l := c.l
	if c.number == 0 {
		l.paths.sent(m)
		l.sighted.asking(m, l.cfg.Clock)
	}
	l.outbox.add(now, m.To, wire.Message{Election: c.number, Message: *m}, len(l.contests) > 1 && c.mayWait(m))
}

// view is all that decides whom an election keeps in view.
type view struct {
	members     uint64
	config, own election.ConfigID
}

// acked is what an ack tells of the leader and the config that it answers.
type acked struct {
	leader election.ID
	term   uint64
	config election.ConfigID
}

// mayWait tells of an ack that tells its leader nothing new: it may wait for
// company. The first of a leader or a config makes a goose, or lets it go on.
func (c *contest) mayWait(m *election.Message) bool {
	if m.Kind != election.HeartbeatAck || m.Promise == 0 {
		return false
	}
	was := c.acked
	c.acked = acked{m.To, m.Term, m.ConfigID}
	return was == c.acked
}

// retract publishes the end of a lease before anything else happens (order 0).
func (c *contest) retract(lease election.Lease) {
	old := c.lease
	if old.Token == 0 || old.Token == lease.Token && old.Until <= lease.Until {
		return
	}
	c.silence(stopLost)
	if lease.Token == 0 {
		c.publish(c.l.now()) // a slow disk must not keep watchers waiting for the bad news
	}
}

// grant publishes a lease that is new or lasts longer (order 3).
func (c *contest) grant(lease election.Lease) {
	if lease.Token == 0 || c.lease == lease {
		return
	}
	c.lease = lease
	c.seat.board.setLease(lease)
	c.seat.holders.renew(lease, c.handing != nil)
}

// due tells whether the node's timeout is to be judged now. A loop that woke
// late, by a pause or a busy machine, first gives the reader a moment.
func (c *contest) due(now time.Duration) bool {
	switch {
	case c.node == nil || c.wakeAt == 0 || now < c.wakeAt:
		c.judgeAt = 0
		return false
	case c.judgeAt == 0 && now-c.wakeAt >= c.l.cfg.Heartbeat:
		c.judgeAt = now + readGrace
		return false
	case now < c.judgeAt:
		return false
	}
	c.judgeAt = 0
	return true
}

// restUntil gives when the contest next needs the loop, at the latest at.
func (c *contest) restUntil(now, at time.Duration) time.Duration {
	if c.node != nil && c.wakeAt > 0 {
		at = min(at, max(c.wakeAt, c.judgeAt))
	}
	if c.lapseAt > now {
		at = min(at, c.lapseAt)
	}
	return at
}

// knownGoose gives the goose as readers see it, itself included.
func (c *contest) knownGoose() (election.ID, bool) { return c.knownGooseAt(c.l.now()) }

func (c *contest) knownGooseAt(now time.Duration) (election.ID, bool) {
	if lease := c.node.Lease(); lease.Token != 0 && lease.Until > now {
		return c.l.id, true
	}
	id, _, heardAt := c.node.Heard()
	if heardAt != 0 && now < heardAt+c.l.cfg.Lease && id != c.l.id {
		return id, false
	}
	return election.ID{}, false
}

// silence makes this agent no goose.
func (c *contest) silence(cause string) {
	c.lease = election.Lease{}
	c.seat.board.setLease(election.Lease{})
	c.seat.holders.stopAll(cause)
}

func (c *contest) log() *slog.Logger {
	if c.number == 0 {
		return c.l.cfg.Logger
	}
	return c.l.cfg.Logger.With("election", c.seat.name)
}

// contestAt gives this life's part in the election of a seat, nil when it takes none yet.
func (l *life) contestAt(s *seat) *contest {
	for _, c := range l.contests {
		if c.seat == s {
			return c
		}
	}
	return nil
}
