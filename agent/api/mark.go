package api

import (
	"context"
	"net/http"
	"time"
)

// MaxMark is the largest mark: every JSON reader keeps it exact.
const MaxMark = 1<<53 - 1

// Mark is an election's number that only grows (rule 29): the answer of GET and POST
// /v1/mark.
type Mark struct {
	Mark uint64 `json:"mark"`
	// Committed: this agent is the goose, and a majority of the voters has saved the mark.
	Committed bool `json:"committed"`
}

// MarkRequest is the body of POST /v1/mark.
type MarkRequest struct {
	// Advance is the new mark, larger than the present one and at most MaxMark.
	Advance uint64 `json:"advance"`
	// Token makes the agent refuse unless it is the goose under this token; 0: any.
	Token uint64 `json:"token,omitempty"`
	// Slot, a Go duration, says that Advance is the number of a slot this long, counted
	// from 1970 in UTC. The agent refuses one that is more than two slots ahead of what
	// the clocks of the voters say; "": no check.
	Slot string `json:"slot,omitempty"`
}

// The codes of answers to POST /v1/mark that programs tell apart.
const (
	CodeMarkTaken  = "mark-taken"  // the mark is as high already
	CodeClockAhead = "clock-ahead" // the slot is too far ahead of the voters' clocks
)

// SlotLead is how many slots the number of a slot may be ahead of a clock.
const SlotLead = 2

// SlotOf returns the number of the slot of this length in which t is, counted from 1970 in
// UTC. It panics when length is not above 0.
func SlotOf(t time.Time, length time.Duration) uint64 { return uint64(t.UnixNano() / int64(length)) }

func (h *handler) mark(e ElectionBackend, w http.ResponseWriter, r *http.Request) error {
	m, err := e.Mark(r.Context())
	return reply(w, m, err)
}

func (h *handler) advance(e ElectionBackend, w http.ResponseWriter, r *http.Request) error {
	return command(func(_ *handler, ctx context.Context, in MarkRequest) (Mark, error) {
		if in.Advance == 0 || in.Advance > MaxMark {
			return Mark{}, Input("field \"advance\": %d: want a mark from 1 to %d", in.Advance, uint64(MaxMark))
		}
		slot, err := duration("slot", in.Slot)
		if err != nil {
			return Mark{}, err
		}
		if err := e.Advance(ctx, in.Advance, in.Token, slot); err != nil {
			return Mark{}, err
		}
		return Mark{Mark: in.Advance, Committed: true}, nil
	})(h, w, r)
}
