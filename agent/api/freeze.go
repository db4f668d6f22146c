package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// DefaultFreeze is how long a freeze lasts that names no time, MaxFreeze the longest.
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

// Freezer keeps a flock's goose from changing but on failure, and ends that.
type Freezer interface {
	// Freeze lasts for d; 0: DefaultFreeze.
	Freeze(ctx context.Context, d time.Duration) (Freeze, error)
	Thaw(ctx context.Context) (Freeze, error)
}

func (h *handler) freeze(w http.ResponseWriter, r *http.Request) error {
	var in FreezeRequest
	if err := decode(w, r, &in); err != nil {
		return err
	}
	d, err := duration("for", in.For)
	switch {
	case err != nil:
		return err
	case d > MaxFreeze:
		return Input("field \"for\": %v: want %v at the most", d, MaxFreeze)
	}
	f, err := h.b.Freeze(r.Context(), d)
	return reply(w, f, err)
}

func (h *handler) thaw(w http.ResponseWriter, r *http.Request) error {
	if err := decode(w, r, &struct{}{}); err != nil {
		return err
	}
	f, err := h.b.Thaw(r.Context())
	return reply(w, f, err)
}
