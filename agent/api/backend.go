package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Backend is the agent behind the server. All methods may be called at the
// same time from many goroutines. Errors made by [Conflict], [NoMajority] and
// their like choose the status code; others are 500.
type Backend interface {
	// ElectionBackend is the default election's.
	ElectionBackend
	// Elections lists the flock's, the default one first, the others by name.
	Elections() []ElectionInfo
	// Election returns one by name; [NoElection] when the flock does not have it.
	Election(name string) (ElectionBackend, error)
	Members() []Member
	Freezer
	Leave(ctx context.Context, force bool) error
	ForceLeave(ctx context.Context, name string) error
	// Join returns how many of addrs answered, not counting this agent.
	Join(ctx context.Context, addrs []string) (int, error)
	// Die simulates death for d, 0: until Revive.
	Die(d time.Duration) error
	Revive() error
	// Healthy returns what is wrong with the agent: it is dead, or its loop hangs. nil:
	// nothing.
	Healthy() error
	// Faults is nil when this agent has no netem.
	Faults() Faults
	// FlockCommands asks all agents of the flock.
	FlockCommands() FlockCommands
	// Metrics serves Prometheus text.
	Metrics() http.Handler
}

// ElectionBackend is one election of the agent.
type ElectionBackend interface {
	// Status is judged at the moment of the call.
	Status() Status
	Explainer
	// Watch yields a status at once, then after each change; a slow reader skips to the latest.
	Watch(ctx context.Context) iter.Seq[Status]
	// History returns the goose periods that this agent knows.
	History() History
	// StepDown hands over to the voter named to ("": the first in rank) and returns
	// when another is goose. A frozen flock refuses it without force.
	StepDown(ctx context.Context, to string, force bool) (goose string, err error)
	// Mark returns the election's mark as this agent has saved it.
	Mark(ctx context.Context) (Mark, error)
	// Advance raises the mark and returns once it is committed. A token that is not 0 must
	// be that of this agent's goose period. slot, if not 0, is the length of the slots that
	// the mark counts: one too far ahead of the voters' clocks is refused.
	Advance(ctx context.Context, to, token uint64, slot time.Duration) error
	// Lead registers a holder until its Close; ctx bounds the registration only.
	Lead(ctx context.Context, peer LeadPeer) (Holder, error)
}

// Faults are the fault rules of a live agent: /v1/netem.
type Faults interface {
	// Set replaces the rules, for d (0: for ever). An error means bad input: 400.
	Set(rules string, d time.Duration) error
	Clear()
	Show() Netem
}

// LeadPeer is the process at the other end of a holder's connection.
type LeadPeer struct {
	PID int // 0: unknown
	UID int // -1: unknown
	// Grace is how long its work may take to end at a planned end, at most MaxGrace; 0:
	// the agent's own grace.
	Grace time.Duration
	// Work says what acts, and Ends what ends it, for people; "": unknown.
	Work, Ends string
	// Acks: the holder promises to call Answered several times in each lease.
	Acks bool
	// Cgroup is a folder of cgroup version 2. The agent kills all processes in it when a
	// holder with Acks does not answer and must stop, or has died; "": none.
	Cgroup string
	// Alone is a kind of holders of which one works at a time; "": no limit.
	Alone string
}

// Holder is one session of work for the goose. The agent hands it deadlines, and stays
// bound by the latest one until the holder has drained or is closed, or the deadline has
// passed (rule 12). One goroutine may wait on Ready while others call the rest.
type Holder interface {
	// Ready gets a value when Next may have something. Its capacity is at least 1.
	Ready() <-chan struct{}
	// Next returns the oldest event that the holder has not seen: the newest deadline
	// first, then a stop. A slow reader misses renewals, but never a stop. If there is
	// neither, Next returns the reason to wait, if that is new.
	Next() (LeadEvent, bool)
	// Drained says that all work under token has ended. Once it returns, Next gives no
	// deadline from before the call; a later one binds the agent again. For a token that
	// this holder never got, it only ends Late.
	Drained(token uint64, then Then)
	// Late says that work under token runs past its deadline: the agent does not campaign
	// until Drained. The token may be from an earlier session of the same program.
	Late(token uint64)
	// Advance raises the election's mark, in the goose period of token only, and returns
	// once it is committed.
	Advance(ctx context.Context, token, to uint64) error
	// Answered says that the holder has read a deadline. A holder that promised this and
	// is silent for a whole lease counts as stopped: another agent with work becomes the
	// goose.
	Answered()
	// Warden returns where the holder reports that its work is gone once the agent has died,
	// and the proof that it gives; "": nowhere.
	Warden() (path string, proof uint64)
	// Done is closed when the agent will never send a deadline again.
	Done() <-chan struct{}
	// Died says, before Close, that the process has ended and the time of its heirs is
	// over: the agent kills what is left in its cgroup.
	Died()
	// Close ends the session: no work acts by its deadlines from then on.
	Close()
}

// Then is what a holder wants after its work has ended.
type Then string

const (
	ThenWait     Then = "wait"      // the next deadline
	ThenStepDown Then = "step down" // the work ended by itself: hand over, if that period still lasts
	ThenLeave    Then = "leave"     // no more deadlines; the goose may stay where it is
)
