package keys

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

const (
	// maxKeys bounds the keys of an agent.
	maxKeys = 8
	// ticketFor is how long a ticket is valid.
	ticketFor = time.Minute
	// maxTickets bounds the tickets that are valid at once.
	maxTickets = 64

	// The questions that agents ask one another.
	keysQuestion   = "keys"
	changeQuestion = "key-change"
)

// responder answers the questions of other agents about this one's keys.
type responder struct {
	c *Changer

	mu struct { // guards what follows
		sync.Mutex
		tickets map[string]time.Time
	}
}

// ring is the answer to the question about an agent's keys.
type ring struct {
	Keys   []string          `json:"keys"` // ids, the sealing one first
	Kept   bool              `json:"kept"`
	Alive  map[string]string `json:"alive"` // name by id, of those this agent sees
	Ticket string            `json:"ticket"`
}

// change asks an agent for one change of its keys. The agent gave the ticket
// shortly before, for one change only: replaying a recorded stream cannot bring
// back a key that was removed.
type change struct {
	Ticket  string `json:"ticket"`
	Install []byte `json:"install,omitempty"`
	Use     string `json:"use,omitempty"`
	Remove  string `json:"remove,omitempty"`
}

// tell answers which keys this agent has.
func (r *responder) tell(ctx context.Context, _ election.ID, _ json.RawMessage) (any, error) {
	st, err := r.c.host.State(ctx)
	if err != nil {
		return nil, err
	}
	own := ring{Keys: idsOf(st.Keys), Kept: st.File != "", Alive: map[string]string{}}
	for _, p := range st.Live {
		own.Alive[p.ID.String()] = p.Meta.Name
	}
	own.Ticket, err = r.ticket(time.Now())
	return own, err
}

func (r *responder) ticket(now time.Time) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t, given := range r.mu.tickets {
		if now.Sub(given) >= ticketFor {
			delete(r.mu.tickets, t)
		}
	}
	if len(r.mu.tickets) >= maxTickets {
		return "", fmt.Errorf("%d questions about keys within %v: try again later", maxTickets, ticketFor)
	}
	if r.mu.tickets == nil {
		r.mu.tickets = map[string]time.Time{}
	}
	t := crand.Text()
	r.mu.tickets[t] = now
	return t, nil
}

// redeem uses a ticket up, and reports whether it was valid.
func (r *responder) redeem(ticket string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	given, ok := r.mu.tickets[ticket]
	delete(r.mu.tickets, ticket)
	return ok && now.Sub(given) < ticketFor
}

// change makes one change, first in the key file, then in the running agent. If the file
// cannot be written, the keys stay as they are.
func (r *responder) change(ctx context.Context, from election.ID, body json.RawMessage) (any, error) {
	var c change
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, fmt.Errorf("read the change: %w", err)
	}
	if !r.redeem(c.Ticket, time.Now()) {
		return nil, fmt.Errorf("this key change is older than %v, or was already made: run the command again", ticketFor)
	}
	done, err := r.c.Turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	old, err := r.c.host.State(ctx)
	if err != nil {
		return nil, err
	}
	next, removed, err := c.apply(old.Keys)
	if err != nil || slices.EqualFunc(old.Keys, next, bytes.Equal) {
		return struct{}{}, err
	}
	if old.File != "" {
		if err := rewrite(old.File, next, removed); err != nil {
			return nil, err
		}
	}
	return struct{}{}, r.c.host.SetKeys(ctx, next, from)
}

// apply returns the keys after the change, and the removed key.
func (c *change) apply(old [][]byte) (next [][]byte, removed []byte, err error) {
	named := func(id string) int {
		return slices.IndexFunc(old, func(k []byte) bool { return wire.KeyID(k) == id })
	}
	next = slices.Clone(old)
	switch {
	case len(old) == 0:
		return nil, nil, errNoKeys
	case c.Install != nil:
		if len(c.Install) != wire.KeySize {
			return nil, nil, fmt.Errorf("key of %d bytes: want %d", len(c.Install), wire.KeySize)
		}
		switch i := named(wire.KeyID(c.Install)); {
		case i >= 0 && !bytes.Equal(old[i], c.Install):
			return nil, nil, fmt.Errorf("another key has the same id, %s: make a new key (ddgoose keygen)", wire.KeyID(c.Install))
		case i >= 0:
		case len(old) >= maxKeys:
			return nil, nil, fmt.Errorf("it already has %d keys, the maximum: remove one first (ddgoose keys remove)", maxKeys)
		default:
			next = append(next, c.Install)
		}
	case c.Use != "":
		i := named(c.Use)
		if i < 0 {
			return nil, nil, fmt.Errorf("it does not have key %s", c.Use)
		}
		next = slices.Insert(slices.Delete(next, i, i+1), 0, old[i])
	case c.Remove != "":
		switch i := named(c.Remove); {
		case i == 0:
			return nil, nil, fmt.Errorf("it still sends with key %s", c.Remove)
		case i > 0:
			next, removed = slices.Delete(next, i, i+1), old[i]
		}
	}
	return next, removed, nil
}
