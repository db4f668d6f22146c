package api

import (
	"context"
	"encoding/json"
	"time"
)

// DefaultFreeze is the length of a freeze without a time, MaxFreeze the maximum.
const (
	DefaultFreeze = time.Hour
	MaxFreeze     = 24 * time.Hour
)

// FreezeRequest is the body of POST /v1/freeze.
type FreezeRequest struct {
	For string `json:"for,omitempty"` // a Go duration; "" stands for DefaultFreeze
}

// Freeze is what POST /v1/freeze and /v1/thaw answer.
type Freeze struct {
	Remaining float64  `json:"remaining_s"` // of the freeze; 0: thawed
	Reached   []string `json:"reached"`     // the agents that were told, by name
	// Unreached agents hear of it by gossip, when they return.
	Unreached []Unreached `json:"unreached"`
}

// Unreached is an agent that could not be told.
type Unreached struct {
	Name  string `json:"name"`
	Error string `json:"error"` // why not
}

// MarshalJSON writes empty lists as lists.
func (f Freeze) MarshalJSON() ([]byte, error) {
	type plain Freeze
	f.Reached, f.Unreached = filled(f.Reached), filled(f.Unreached)
	return json.Marshal(plain(f))
}

// Freezer blocks planned changes of the flock's goose, and ends that. Failover still
// works.
type Freezer interface {
	// Freeze lasts for d; 0: DefaultFreeze.
	Freeze(ctx context.Context, d time.Duration) (Freeze, error)
	Thaw(ctx context.Context) (Freeze, error)
}

func (h *handler) freeze(ctx context.Context, in FreezeRequest) (Freeze, error) {
	d, err := duration("for", in.For)
	switch {
	case err != nil:
		return Freeze{}, err
	case d > MaxFreeze:
		return Freeze{}, Input("field \"for\": %v: want %v at the most", d, MaxFreeze)
	}
	return h.b.Freeze(ctx, d)
}

func (h *handler) thaw(ctx context.Context, _ none) (Freeze, error) { return h.b.Thaw(ctx) }
