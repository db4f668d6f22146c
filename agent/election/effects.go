package election

import (
	"errors"
	"time"
)

// Input is what a node can be told: [Tick], [*Message], [Change], [StepDown],
// [RaiseTerm], [Holders], [Drained], [Busy], [ClockJump], [Observe], [Forget] or [Seen].
type Input interface{ input() }

// Tick says that time has passed. Only a Tick judges timeouts: a loop that
// woke late first steps through every message that waits, then ticks (rule 17).
type Tick struct{}

// Change asks the leader to add a voter, to change a voter's priority or, with
// Remove, to take one out; or, with Table, to replace the table and no voter (rule
// 5). Refused with an error in Effects.Err.
type Change struct {
	Voter  Voter
	Remove bool
	Table  Digest
}

// StepDown asks the leader to hand over (rule 16): to To, or to the voter that
// ranks first when To is zero. With Stop the agent is going away: when nobody can
// take over, resign.
type StepDown struct {
	To   ID
	Stop bool
}

// RaiseTerm asks the leader to be elected anew above Term, so that an agent
// that is ahead can be added (rule 7).
type RaiseTerm struct{ Term uint64 }

// Holders says whether holders are attached from now on. While they are, every
// deadline that the node publishes binds it (rule 12).
type Holders struct{ Attached bool }

// Drained says that no holder acts any more by any deadline handed out so far.
type Drained struct{}

// Busy says whether work went on past the end of its lease: the node does not
// campaign until it has ended.
type Busy struct{ Late bool }

// ClockJump says that the boot clock ran ahead of the monotonic one: the
// machine slept. The lease is dropped and earned anew (rule 17).
type ClockJump struct{}

// Observe asks the leader to keep an agent that is no voter in view: its acks
// count towards adding it (rule 5).
type Observe struct{ ID ID }

// Forget undoes Observe.
type Forget struct{ ID ID }

// Seen says which generation and config a live agent of the flock shows of itself,
// other than in a message: in gossip. If they are older than the node's own, the
// node sends it its config (rule 27). The caller sets the pace: tell it again only
// while that agent still shows them after a lease or more.
type Seen struct {
	ID         ID
	Generation uint64 // the number
	Config     ConfigID
}

func (Tick) input()      {}
func (*Message) input()  {}
func (Change) input()    {}
func (StepDown) input()  {}
func (RaiseTerm) input() {}
func (Holders) input()   {}
func (Drained) input()   {}
func (Busy) input()      {}
func (ClockJump) input() {}
func (Observe) input()   {}
func (Forget) input()    {}
func (Seen) input()      {}

// Why a command was refused.
var (
	ErrNotLeader    = errors.New("not the leader")
	ErrHandingOver  = errors.New("a hand-over is under way")
	ErrNoSuccessor  = errors.New("no other live voter of priority above 0")
	ErrNotVoter     = errors.New("not a voter of priority above 0")
	ErrUnreachable  = errors.New("the voter does not answer")
	ErrNotCommitted = errors.New("the last change of voters is not yet acknowledged by a majority")
	ErrInvalid      = errors.New("the change is not one that can be made")
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

// Effects is what a step asks for, in this order: publish whatever takes
// goose-ship away or shortens it; save; send; publish whatever grants or
// lengthens. A caller reuses one value for all steps.
type Effects struct {
	// Save: Record must be durable BEFORE anything in Send or Announcement leaves.
	Save   bool
	Record Record
	// Send holds addressed messages. Their Start, Life, Seq and ToLife are the caller's to stamp.
	Send []Message
	// Announce: Announcement, without To, goes to every live agent of the flock that
	// the node does not keep in view: a goose's heartbeat, or a candidate's question
	// for a newer config (rule 27).
	Announce     bool
	Announcement Message
	// WakeAt is when the next Tick is due; 0 when only an input can change anything.
	WakeAt time.Duration
	// Err tells why the command was refused; nil otherwise.
	Err    error
	Events []Event
}

func (fx *Effects) reset() {
	fx.Save, fx.Announce, fx.Err, fx.WakeAt = false, false, nil, 0
	fx.Send, fx.Events = fx.Send[:0], fx.Events[:0]
}

func (fx *Effects) event(k EventKind, term uint64, peer ID) {
	fx.Events = append(fx.Events, Event{k, term, peer})
}
