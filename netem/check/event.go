package check

import (
	"fmt"
	"time"
)

// Kind is the kind of an [Event].
type Kind uint8

// The kinds of event. Agent and Flock are always set, but for Due and Excused.
const (
	// Led: the agent has won the election of Token.
	Led Kind = 1 + iota
	// Published: from At on, readers of this agent see that it is the goose of
	// Token until Until. A renewal is another Published.
	Published
	// Retracted: readers of this agent no longer see it. Its crash is one.
	Retracted
	// Answered: the agent was asked at Since; its answer, that it is the goose of
	// Token, arrived at At.
	Answered
	// HandedOut: Holder may act with Token until Until. A renewal is another HandedOut.
	HandedOut
	// Drained: Holder has ended all work of the deadlines that it had so far.
	Drained
	// Recorded: the agent shows, or reads from its disk, Record.
	Recorded
	// Agreed: the agent, as the goose, says that a majority has taken the config of Record.
	Agreed
	// Began: the agent, as the goose of Token, began with Mark as committed.
	Began
	// Raised: the agent, as the goose of Token, reported that Mark, which it was asked to
	// raise, is committed.
	Raised
	// Due: from now on there must be a goose within Bound, and again whenever it is lost.
	Due
	// Excused: from now on there need be no goose.
	Excused
)

var kindNames = [...]string{
	Led: "led", Published: "published", Retracted: "retracted", Answered: "answered", HandedOut: "handed out",
	Drained: "drained", Recorded: "recorded", Agreed: "agreed", Began: "began", Raised: "raised", Due: "due", Excused: "excused",
}

// String names the kind.
func (k Kind) String() string { return kindNames[k] }

// Event is one observation. Kind decides which fields have a meaning.
type Event struct {
	At    time.Duration // true time; events come in this order
	Kind  Kind
	Agent string // names a disk: with a new disk it is another agent
	Flock string // its flock_id
	// Election is one of the flock's by name; "": the default one.
	Election string
	Token    uint64 // generation * 2^40 + term
	Until    time.Duration
	// Since is when the question was asked: its answer was true at some moment
	// from Since to At.
	Since  time.Duration
	Holder string
	Record Record
	Mark   uint64
	Bound  time.Duration
}

// Record is what an agent must never forget, as far as it was observed.
type Record struct {
	Generation uint64
	Term       uint64
	Vote       string // "": none, or not seen
	Mark       uint64 // 0: none, or not seen
	Config     Config
}

// Config is a set of voters. It is ordered by generation, term and version.
type Config struct {
	Term, Version uint64
	Voters        string // any text that is the same for the same voters and priorities; "": no config, or not seen
	// Table is the config's table of elections; it only grows, at its end.
	Table string
}

// String returns the event in one line.
func (e Event) String() string {
	s := fmt.Sprintf("%v %s %v", e.At, e.Agent, e.Kind)
	if e.Election != "" {
		s += " election " + e.Election
	}
	switch e.Kind {
	case Led:
		s += fmt.Sprintf(" token %d", e.Token)
	case Published:
		s += fmt.Sprintf(" token %d until %v", e.Token, e.Until)
	case Answered:
		s += fmt.Sprintf(" token %d, asked at %v", e.Token, e.Since)
	case HandedOut:
		s += fmt.Sprintf(" to %s token %d until %v", e.Holder, e.Token, e.Until)
	case Drained:
		s += " " + e.Holder
	case Recorded, Agreed:
		r := e.Record
		s += fmt.Sprintf(" generation %d term %d vote %q config (%d, %d) %s",
			r.Generation, r.Term, r.Vote, r.Config.Term, r.Config.Version, r.Config.Voters)
		if r.Config.Table != "" {
			s += " table " + r.Config.Table
		}
	case Began, Raised:
		s += fmt.Sprintf(" token %d mark %d", e.Token, e.Mark)
	case Due:
		s += fmt.Sprintf(" within %v", e.Bound)
	}
	return s
}

// Violation is a broken promise.
type Violation struct {
	Promise string        `json:"promise"` // "P1", ...
	At      time.Duration `json:"at_ns"`
	Text    string        `json:"text"`
}

// Error names the promise, the time and what happened.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s broken at %v: %s", v.Promise, v.At, v.Text)
}

// Safety reports whether the promise is one that no fault may break, as opposed
// to one of liveness (P4, P5).
func (v *Violation) Safety() bool { return v.Promise != "P4" && v.Promise != "P5" }
