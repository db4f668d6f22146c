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
	// Election gives one by name; [NoElection] when the flock does not have it.
	Election(name string) (ElectionBackend, error)
	Members() []Member
	Freezer
	Leave(ctx context.Context, force bool) error
	ForceLeave(ctx context.Context, name string) error
	// Join tells how many of addrs answered, oneself not counted.
	Join(ctx context.Context, addrs []string) (int, error)
	// Die simulates death for d, 0: until Revive.
	Die(d time.Duration) error
	Revive() error
	// Healthy says what is wrong with the agent: dead, or its loop hangs. nil: nothing.
	Healthy() error
	// Faults is nil when this agent has no netem.
	Faults() Faults
	Explainer
	// Clinic asks all agents of the flock.
	Clinic() Clinic
	// Metrics serves Prometheus text.
	Metrics() http.Handler
}

// ElectionBackend is what each election of the flock has of its own.
type ElectionBackend interface {
	// Status is judged at the moment of the call.
	Status() Status
	// Watch yields a status at once, then after each change; a slow reader skips to the latest.
	Watch(ctx context.Context) iter.Seq[Status]
	// StepDown hands over to the voter named to ("": the first in rank) and returns
	// when another is goose. A frozen flock refuses it without force.
	StepDown(ctx context.Context, to string, force bool) (goose string, err error)
	// Lead registers a holder until its Close; ctx bounds the registration only.
	Lead(ctx context.Context, peer LeadPeer) (Holder, error)
}

// Faults are the fault rules of a live agent: /v1/netem.
type Faults interface {
	// Set replaces the rules, for d (0: for ever). An error is the caller's: 400.
	Set(rules string, d time.Duration) error
	Clear()
	Show() Netem
}

// LeadPeer tells who holds: the process at the other end of the connection.
type LeadPeer struct {
	PID int // 0: unknown
	UID int // -1: unknown
	// Grace is how long its work may take to end when the end is planned, at most
	// MaxGrace; 0: it does not say, and the agent's own counts.
	Grace time.Duration
	// Alone: no other holder with Alone set may work at the same time.
	Alone bool
}

// Holder is one session of somebody who acts for the goose. The agent hands it
// deadlines, and is bound by the latest one until the holder has drained, is
// closed, or the deadline has passed (rule 12). One goroutine may wait on Ready
// while others call the rest.
type Holder interface {
	// Ready gets a value when Next may have something. Its capacity is at least 1.
	Ready() <-chan struct{}
	// Next takes the oldest thing the holder must still hear: the newest
	// deadline first, then a stop. A slow reader misses renewals, never a stop.
	Next() (LeadEvent, bool)
	// Drained says that all work under token has ended. When it returns, Next
	// gives nothing that was handed out before: a deadline that comes later
	// binds the agent again. With stepDown the work ended by itself, and the
	// agent hands over if that period is still its own. A token that was
	// never handed to this holder only ends its Late.
	Drained(token uint64, stepDown bool)
	// Late says that work under token goes on past its deadline: the agent does
	// not campaign until Drained follows. The token may have been handed to an
	// earlier session of the same program.
	Late(token uint64)
	// Done is closed when the agent will never hand out anything again.
	Done() <-chan struct{}
	// Close ends the session: nothing acts any more by what was handed out.
	Close()
}
