package election

import "time"

// Role is what a node is in its term.
//
//	           timeout (R1)            majority would vote
//	Follower ---------------> PreCandidate ------------> Candidate
//	 ^  ^  ^                       |                      |    |
//	 |  |  +-- heartbeat, vote ----+                      |    | majority
//	 |  |      given (R2)                                 |    v
//	 |  +------ split (R3), higher term, newer config ----+  Leader
//	 +--------- higher term, resigned, not quorate -------------+
type Role uint8

// The roles. A Leader is the goose only while its lease is valid (rule 14).
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

// String gives the role in lower case.
func (r Role) String() string {
	return [...]string{"follower", "precandidate", "candidate", "leader"}[r]
}

const (
	// resendFloor is the shortest wait before a question is repeated (rule 21).
	resendFloor = 10 * time.Millisecond
	// rankFloor is the smallest distance between successors (rule 24).
	rankFloor = 5 * time.Millisecond
	// maxResends is how often a question is repeated in one term (rule 21).
	maxResends = 8
	// rejectEvery is the pause between two Rejects to one peer (rule 9).
	rejectEvery = 10 * time.Millisecond
	// beatSlack: a round waits a 16th of a heartbeat for a Beat.
	beatSlack = 16
	// maxRounds is how many heartbeat rounds can be answered: more than there are in a
	// lease.
	maxRounds = 64
)

// Settings are a node's own, fixed for its life.
type Settings struct {
	ID        ID
	Life      uint64        // of this process; messages that bind this node must name it (rule 11)
	Heartbeat time.Duration // default 50 ms
	Lease     time.Duration // default 500 ms; at most MaxPromise
	Eps       time.Duration // taken off every lease, for timers that fire late; default Lease / 50
	Seed      uint64        // of its jitter
	// Grid makes heartbeats of several elections leave together, at Grid + k*Heartbeat; 0: when due.
	Grid time.Duration
	// Salt orders voters that are equal in all else, so that elections choose different ones; 0: by ID.
	Salt uint64
	// NoAges: nobody asks for this node's Silent, so its heartbeats carry no ages.
	NoAges bool
}

// Promise is what a voter has promised: to elect nobody else until End (rule 11).
type Promise struct {
	To   ID
	Term uint64
	End  time.Duration
}

// Lease is a goose's right to act with Token, until Until on its boot clock; zero: none.
type Lease struct {
	Token  uint64
	Until  time.Duration
	Length time.Duration // of the promises that it is made of
}

// round remembers when a heartbeat round left and what it asked for.
type round struct {
	sentAt time.Duration
	asked  time.Duration
	mark   uint64 // of the leader then (rule 29)
}

// heard is the newest heartbeat round of a leader in its term: a replay promises nothing (rule 11).
type heard struct {
	leader ID
	term   uint64
	round  uint64
}

// Node is one agent's part in one election. It is a comparable value: a copy
// is a snapshot. Make one with [New]; only [Node.Step] changes it.
type Node struct {
	set  Settings
	rec  Record
	dice chance
	role Role

	// What this node heard of a leader.
	leader     ID            // zero: none
	leaderTerm uint64        // differs from rec.Term only at non-members (rule 7)
	heardAt    time.Duration // of its last heartbeat that asked for a promise
	leaderRTT  time.Duration
	heardLease time.Duration // the promise that it asked for; or this node, if it led later
	rank       uint8         // own place in the line of succession
	ranked     bool          // false: none heard yet, the config's order holds
	heard      heard
	news       News          // the newest of a goose, by its own heartbeat or by others
	agesAt     time.Duration // when it last knew how long each voter had been silent

	// What this node promised (rules 11 to 13).
	promise     Promise
	resigned    Promise // heartbeats of this leader and term promise nothing
	waitUntil   time.Duration
	target      time.Duration // the value to which PromiseMax could be lowered
	targetSince time.Duration

	// When it may campaign.
	electAt    time.Duration // 0: not scheduled
	quietUntil time.Duration
	late       bool // work goes on past its lease (Busy)
	fitness    Fitness

	// As candidate.
	nonce        uint64        // of a PreVoteRequest that leaves at nonceAt
	nonceAt      time.Duration // when the last round of PreVote began
	askedAt      time.Duration // when this round of asking began
	standAt      time.Duration // every voter had its time: stand down then; 0: not yet
	failures     uint8         // campaigns in a row that found no majority
	seekAt       time.Duration // when all agents may be asked for a newer config again
	transferFrom ID
	transferTerm uint64

	// As leader.
	pace         Pace
	wonAt        time.Duration
	round        uint64
	firstRound   uint64 // acks of earlier rounds count for nothing (rule 17)
	nextRound    time.Duration
	selfExpiry   time.Duration // until when this node's own last round binds it (rule 14)
	quorateAt    time.Duration // until when a majority is believed to answer (rule 20)
	marked       bool          // the mark that it began with is held by a majority (rule 29)
	gaveUp       bool
	gaveUpAt     time.Duration
	gaveUpTo     ID            // zero: to nobody, or by rank
	timeoutAt    time.Duration // when the first TimeoutNow left; 0: not yet
	timeoutNext  time.Duration
	raiseTo      uint64 // campaign at this term once drained (rule 7)
	former       ID     // the goose before this one, which ranks last for a while
	formerUntil  time.Duration
	pending      Change // waits for its lease clause (rule 5)
	hasPending   bool
	pendingAt    time.Duration
	pendingRound uint64 // a majority of the new members must answer this round or a later one

	// What was handed out (rule 12).
	lease    Lease // as published
	holders  bool
	handedTo time.Duration // the latest deadline that a holder may still act by; 0: none

	rejectAt time.Duration // when the next Reject may go to agents not in view

	// The tables come last: all else is read at each step, and lies close together.
	npeers uint8
	peers  [maxPeers]peer
	rounds [maxRounds]round // as leader
}

// New makes a node from its durable record, whose PromiseMax the caller has raised
// to at least set.Lease and saved. fresh: the disk is new and has promised nothing,
// so the node need not wait (rule 13).
func New(set Settings, rec Record, now time.Duration, fresh bool) Node {
	n := Node{
		set: set, rec: rec, dice: chance(set.Seed), target: rec.PromiseMax, targetSince: now,
		pace: Pace{set.Lease, set.Heartbeat}, heardLease: set.Lease,
	}
	if !fresh {
		n.waitUntil = now + stretch(rec.PromiseMax)
	}
	n.observeVoters()
	n.schedule(now)
	return n
}

// stretch gives d*(1+rho): at least d of true time by any clock. rho is 1 % (P2).
func stretch(d time.Duration) time.Duration { return d + (d+99)/100 }

// worth returns how long a promise of d certainly binds, from when it was asked for, by
// the asker's clock: d(1-rho)/(1+rho) - eps (rule 14). Eps grows with d.
func (n *Node) worth(d time.Duration) time.Duration {
	eps := n.set.Eps
	if d != n.set.Lease {
		eps = time.Duration(int64(eps) * int64(d/time.Microsecond) / int64(max(n.set.Lease, time.Microsecond)/time.Microsecond))
	}
	return d*99/101 - eps
}

// Step tells the node the time and one input, and fills fx.
func (n *Node) Step(now time.Duration, in Input, fx *Effects) {
	fx.reset()
	before := n.rec
	switch in := in.(type) {
	case Tick:
		n.tick(now, fx)
	case Beat:
		n.beat(now, fx)
	case *Message:
		n.receive(now, in, fx)
	case Change:
		fx.Err = n.change(now, in, fx)
	case StepDown:
		fx.Err = n.stepDown(now, in, fx)
	case RaiseTerm:
		fx.Err = n.raiseTerm(now, in.Term, fx)
	case Advance:
		fx.Err = n.advanceMark(now, in.To, fx)
	case Holders:
		n.holders = in.Attached
	case Drained:
		n.handedTo = 0
		n.handOver(now, fx)
	case Busy:
		n.late = in.Late
		if in.Late && (n.role == PreCandidate || n.role == Candidate) {
			n.standDown(now, fx)
		}
	case Fit:
		n.takeFitness(now, in.Fitness, fx)
	case ClockJump:
		n.dropLease()
	case Pace:
		n.setPace(now, in, fx)
	case Observe:
		n.observe(in.ID)
	case Forget:
		n.forget(in.ID)
	case Seen:
		n.seen(in, fx)
	}
	n.tryPending(now, fx)
	n.publish()
	if n.rec != before {
		fx.Save, fx.Record = true, n.rec
	}
	fx.WakeAt = n.wakeAt(now)
}

func (n *Node) tick(now time.Duration, fx *Effects) {
	switch n.role {
	case Follower:
		if n.mayCampaign() && now >= n.electAt {
			n.campaign(now, fx)
		}
	case PreCandidate, Candidate:
		n.askAgain(now, fx)
	case Leader:
		n.lead(now, fx)
	}
}

// wakeAt returns when a Tick would do something; 0: never.
func (n *Node) wakeAt(now time.Duration) time.Duration {
	switch n.role {
	case PreCandidate, Candidate:
		at := max(n.askingEnds(), n.standAt)
		n.eachVoter(func(p *peer) {
			switch {
			case p.granted || p.refused:
			case p.retryAt != 0:
				at = min(at, n.askAgainAt(p))
			case n.standAt == 0:
				at = min(at, p.askAt)
			}
		})
		return at
	case Leader:
		at := n.nextRound
		if n.gaveUp {
			if n.handedTo > now {
				at = min(at, n.handedTo)
			} else if n.timeoutAt != 0 {
				at = min(at, n.timeoutNext, n.timeoutAt+n.longest()/2)
			}
		}
		return at
	}
	if !n.mayCampaign() {
		return 0
	}
	return n.electAt
}

// send queues a message to one agent.
func (n *Node) send(to ID, m Message, fx *Effects) {
	fx.Send = append(fx.Send, m)
	sent := &fx.Send[len(fx.Send)-1]
	sent.To = to
	n.stamp(sent)
}

// stamped returns a message with the sender's part.
func (n *Node) stamped(m Message) Message {
	n.stamp(&m)
	return m
}

// stamp fills in the sender's part of a message. The record only grows later in the step,
// so a message never shows more than what is saved.
func (n *Node) stamp(m *Message) {
	m.FlockID, m.Generation, m.From = n.rec.FlockID, n.rec.Generation, n.set.ID
	m.Term, m.ConfigID = n.rec.Term, n.rec.Config.ConfigID
}

// votersThat counts the other voters in view for which hold is true.
func (n *Node) votersThat(holds func(*peer) bool) (count int) {
	n.eachVoter(func(p *peer) {
		if holds(p) {
			count++
		}
	})
	return count
}

// eachVoter calls do for every voter but this node that is in view.
func (n *Node) eachVoter(do func(*peer)) {
	for i := range n.rec.Config.Members() {
		if p := n.peerNear(i, &n.rec.Config.Voters[i].ID); p != nil {
			do(p)
		}
	}
}
