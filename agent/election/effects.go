package election

import (
	"errors"
	"time"
)

// Input is what a node can be told: [Tick], [Beat], [*Message], [Change], [StepDown],
// [RaiseTerm], [Advance], [Holders], [Drained], [Busy], [Fit], [ClockJump], [Pace], [Observe], [Forget] or [Seen].
type Input interface{ input() }

// Tick says that time has passed. Only a Tick judges timeouts: a loop that woke late
// first steps through every message that waits (rule 17).
type Tick struct{}

// Beat says that the heartbeats of other agents come now. A leader with a Grid sends its
// round with them if it is due soon, and its later ones at the same moments.
type Beat struct{}

// Change asks the leader to add a voter, change its priority or, with Remove, take
// it out; or, with Table, to replace the table alone (rule 5).
type Change struct {
	Voter  Voter
	Remove bool
	Table  Digest
}

// StepDown asks the leader to hand over (rule 16): to To, or, if To is zero, to the
// voter that ranks first. With Stop the leader resigns if no voter can take over.
type StepDown struct {
	To   ID
	Stop bool
}

// RaiseTerm asks the leader to be elected above Term, so that an agent ahead can be added (rule 7).
type RaiseTerm struct{ Term uint64 }

// Advance asks the goose to raise the mark to To (rule 29).
type Advance struct{ To uint64 }

// Holders says whether holders are attached: then the deadlines that the node publishes bind it (rule 12).
type Holders struct{ Attached bool }

// Drained says that no holder acts by any deadline handed out so far.
type Drained struct{}

// Busy says whether work runs past its lease: until it ends, the node does not campaign.
type Busy struct{ Late bool }

// Fit says how fit this agent is to lead from now on (rule 28).
type Fit struct{ Fitness Fitness }

// ClockJump says that the boot clock ran ahead of the monotonic one: the machine slept.
// The lease is dropped and must be earned again (rule 17).
type ClockJump struct{}

// Observe keeps an agent in view that is not a voter: its acks count towards adding it
// (rule 5).
type Observe struct{ ID ID }

// Forget undoes Observe.
type Forget struct{ ID ID }

// Seen says which generation and config a live agent has, by gossip. If they are older
// than its own, the node sends its config (rule 27). The caller limits the rate: at most
// once a lease per agent.
type Seen struct {
	ID         ID
	Generation uint64 // the number
	Config     ConfigID
}

func (Tick) input()      {}
func (Beat) input()      {}
func (*Message) input()  {}
func (Change) input()    {}
func (StepDown) input()  {}
func (RaiseTerm) input() {}
func (Advance) input()   {}
func (Holders) input()   {}
func (Drained) input()   {}
func (Busy) input()      {}
func (Fit) input()       {}
func (ClockJump) input() {}
func (Observe) input()   {}
func (Forget) input()    {}
func (Seen) input()      {}

// The errors of refused commands.
var (
	ErrNotLeader    = errors.New("not the leader")
	ErrHandingOver  = errors.New("a hand-over is under way")
	ErrNoSuccessor  = errors.New("no other live voter has a priority above 0 and passes its check")
	ErrNotVoter     = errors.New("not a voter of priority above 0")
	ErrUnreachable  = errors.New("the voter does not answer")
	ErrUnwell       = errors.New("the voter's check fails")
	ErrNotCommitted = errors.New("the last change of voters is not yet acknowledged by a majority")
	ErrInvalid      = errors.New("the change is not possible")
	ErrNoLease      = errors.New("the leader has no lease")
	ErrTaken        = errors.New("the mark is as high already")
)

// EventKind tells what happened, for logs and counters.
type EventKind uint8

// The events.
const (
	EventCampaign    EventKind = 1 + iota // became a candidate, at Term
	EventWon                              // became the leader, of Term
	EventSplit                            // stood down as candidate: no majority in time (R3)
	EventDeposed                          // the leader saw a higher term or generation
	EventNotQuorate                       // the leader lost its majority and stood down (rule 20)
	EventResigned                         // the leader gave up and nobody took over (rule 16)
	EventInstalled                        // took a newer config
	EventVoters                           // the leader changed the voters
	EventTwoLeaders                       // Peer claims to lead this node's own term: a copied disk, or a bug (rule 3)
	EventForeign                          // Peer is of another recovery of this flock (rule 26)
	EventDeferred                         // gave its vote to Peer, at Term (R2)
	EventImplausible                      // ignored a message of Peer whose numbers are too far ahead (rule 26)
)

// Event is something that happened in a step.
type Event struct {
	Kind EventKind
	Term uint64
	Peer ID
}

// Effects is what a step asks for, in this order: publish what ends or shortens the
// lease; save; send; publish what grants or lengthens it. A caller reuses one value.
type Effects struct {
	// Save: Record must be durable BEFORE anything in Send or Announcement leaves.
	Save   bool
	Record Record
	// Send holds messages with addresses. The caller sets their Start, Life, Seq and
	// ToLife.
	Send []Message
	// Announce: Announcement, without To, goes to every live agent out of view: a goose's
	// heartbeat, unless it is passed on (rule 30), or a candidate's question for a newer
	// config (rule 27).
	Announce     bool
	Announcement Message
	// WakeAt is when the next Tick is due; 0: only an input can change something.
	WakeAt time.Duration
	// Err tells why the command was refused; nil otherwise.
	Err    error
	Events []Event
	// Sampled: Sample tells of an ack to this leader.
	Sampled bool
	Sample  Sample
}

func (fx *Effects) reset() {
	fx.Save, fx.Announce, fx.Sampled, fx.Err, fx.WakeAt = false, false, false, nil, 0
	fx.Send, fx.Events = fx.Send[:0], fx.Events[:0]
}

func (fx *Effects) event(k EventKind, term uint64, peer ID) {
	fx.Events = append(fx.Events, Event{k, term, peer})
}
