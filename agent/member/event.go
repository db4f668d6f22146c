package member

import (
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
)

// EventKind is the kind of an [Event].
type EventKind uint8

// The events, with the fields that they fill in besides Election.
const (
	EventBound            EventKind = 1 + iota // this disk belongs to a flock: FlockID, Term, Voters, Back
	EventFoundsAlone                           // it founds a flock of one
	EventFounded                               // it founded a flock with others: FlockID, Agents, Voters
	EventElection                              // the election's own event: What, Term, Peer, Voters
	EventStale                                 // Peer at Addr runs from an old copy of its disk: Start, Known
	EventClone                                 // Peer runs twice, at Other and at Addr
	EventForeignFlock                          // Peer at Addr is of FlockID
	EventHandedOver                            // a stopping agent handed over to Peer
	EventPreempted                             // hands over to Peer for its Priority
	EventNotPreempted                          // Peer did not take over: Err
	EventUnfit                                 // a witness or observer hands over to Peer, or fails to: Err
	EventWorkEnded                             // work ended by itself and nobody took over: Err
	EventChangeRefused                         // a change of voters, of Peer, was refused: Err
	EventFrozen                                // for For
	EventThawed                                // even if it was not frozen: an older freeze no longer counts
	EventElectionBegins                        //
	EventElectionEnds                          // the flock has another table of elections since a recovery
	EventTooManyElections                      // Name is not founded: the flock has Agents already
	EventFoundingRefused                       // the founding of elections was refused: Err
	EventMoves                                 // the election moves to Peer, which leads fewer
	EventNotMoved                              // it did not move: Err
	EventUnwell                                // the goose's check fails: it hands over to Peer (zero: the first in rank), or resigns
	EventFollowsWork                           // a goose without work hands over to Peer, which has some
	EventWellAgain                             // the goose's check passes again in time: it stays the goose
	EventNotYielded                            // nobody took over from such a goose: Err
	EventLease                                 // --lease auto chose another Pace: Was, Why
)

// Event is something that happened, for logs and warnings.
type Event struct {
	Kind        EventKind
	Election    string // by name; "": the default one
	What        election.EventKind
	Term        uint64
	Peer        election.ID
	Addr, Other netip.AddrPort
	FlockID     election.FlockID
	Start       uint64
	Known       uint64
	Voters      int
	Agents      int
	Priority    uint8
	Name        string
	For         time.Duration
	Was, Pace   election.Pace
	Why         string
	Back        bool // it belonged to the flock before
	Err         error
}

// counters are those of an election's events.
var counters = [...]string{
	election.EventCampaign: "campaigns", election.EventWon: "won", election.EventSplit: "stood_down",
	election.EventDeposed: "deposed", election.EventNotQuorate: "not_quorate", election.EventResigned: "resigned",
	election.EventInstalled: "configs_installed", election.EventVoters: "voter_changes",
	election.EventTwoLeaders: "second_leaders", election.EventForeign: "foreign_generations",
	election.EventDeferred: "votes_given", election.EventImplausible: "implausible_messages",
}
