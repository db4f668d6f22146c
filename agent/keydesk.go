package agent

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
	// keysMost bounds the keys of a ring.
	keysMost = 8
	// ticketFor is for how long a change of keys may be asked for after the
	// question that gave the ticket.
	ticketFor = time.Minute
	// ticketsMost bounds those that are out.
	ticketsMost = 64

	keysTopic      = "keys"
	keyChangeTopic = "key-change"
)

// keyDesk is one agent's own part in what is done to all keys of a flock.
type keyDesk struct {
	a *Agent

	mu struct { // guards what follows
		sync.Mutex
		tickets map[string]time.Time
	}
}

// ring is the answer about keys.
type ring struct {
	Keys   []string          `json:"keys"` // ids, the sealing one first
	Kept   bool              `json:"kept"`
	Alive  map[string]string `json:"alive"` // name by id, of those this agent sees
	Ticket string            `json:"ticket"`
}

// keyChange asks for one change of one agent's ring. The ticket is the agent's
// own, given shortly before and good for one change: a stream that was recorded
// and is played again, of a key that was taken away since, changes nothing.
type keyChange struct {
	Ticket  string `json:"ticket"`
	Install []byte `json:"install,omitempty"`
	Use     string `json:"use,omitempty"`
	Remove  string `json:"remove,omitempty"`
}

// tell answers which keys this agent has.
func (d *keyDesk) tell(ctx context.Context, _ election.ID, _ json.RawMessage) (any, error) {
	r, err := ask(ctx, d.a, func(l *life, answer func(ring, error)) error {
		r := ring{Keys: l.keys.Load().KeyIDs(), Kept: l.cfg.KeyFile != "", Alive: map[string]string{}}
		for _, p := range l.peers {
			if l.member.IsAlive(p.ID) {
				r.Alive[p.ID.String()] = p.Meta.Name
			}
		}
		answer(r, nil)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Ticket, err = d.ticket(time.Now())
	return r, err
}

func (d *keyDesk) ticket(now time.Time) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for t, given := range d.mu.tickets {
		if now.Sub(given) >= ticketFor {
			delete(d.mu.tickets, t)
		}
	}
	if len(d.mu.tickets) >= ticketsMost {
		return "", fmt.Errorf("%d questions about keys within %v: ask again later", ticketsMost, ticketFor)
	}
	if d.mu.tickets == nil {
		d.mu.tickets = map[string]time.Time{}
	}
	t := crand.Text()
	d.mu.tickets[t] = now
	return t, nil
}

// redeem takes a ticket back, and tells whether it was good.
func (d *keyDesk) redeem(ticket string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	given, ok := d.mu.tickets[ticket]
	delete(d.mu.tickets, ticket)
	return ok && now.Sub(given) < ticketFor
}

// change makes one change, first in the key file, then in the ring: a change
// that could not be kept is not made.
func (d *keyDesk) change(ctx context.Context, from election.ID, body json.RawMessage) (any, error) {
	var c keyChange
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, fmt.Errorf("read the change: %w", err)
	}
	if !d.redeem(c.Ticket, time.Now()) {
		return nil, fmt.Errorf("the change of keys is older than %v, or was made already", ticketFor)
	}
	done, err := d.a.takeKeyTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	type kept struct {
		keys [][]byte
		file string
	}
	old, err := ask(ctx, d.a, func(l *life, answer func(kept, error)) error {
		answer(kept{l.cfg.Keys, l.cfg.KeyFile}, nil)
		return nil
	})
	if err != nil {
		return nil, err
	}
	next, removed, err := c.apply(old.keys)
	if err != nil || slices.EqualFunc(old.keys, next, bytes.Equal) {
		return struct{}{}, err
	}
	if old.file != "" {
		if err := rewriteKeys(old.file, next, removed); err != nil {
			return nil, err
		}
	}
	_, err = ask(ctx, d.a, func(l *life, answer func(struct{}, error)) error {
		err := l.setKeys(next)
		if err == nil {
			l.log.Info("keys changed", "keys", l.keys.Load().KeyIDs(), "asked_by", l.nameOf(from))
		}
		answer(struct{}{}, err)
		return nil
	})
	return struct{}{}, err
}

// apply gives the ring after the change, and the key that went.
func (c *keyChange) apply(old [][]byte) (next [][]byte, removed []byte, err error) {
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
			return nil, nil, fmt.Errorf("another key has the same id, %s: make a new one (ddgoose keygen)", wire.KeyID(c.Install))
		case i >= 0:
		case len(old) >= keysMost:
			return nil, nil, fmt.Errorf("it holds %d keys already, which is the most: remove one first", keysMost)
		default:
			next = append(next, c.Install)
		}
	case c.Use != "":
		i := named(c.Use)
		if i < 0 {
			return nil, nil, fmt.Errorf("it does not hold key %s", c.Use)
		}
		next = slices.Insert(slices.Delete(next, i, i+1), 0, old[i])
	case c.Remove != "":
		switch i := named(c.Remove); {
		case i == 0:
			return nil, nil, fmt.Errorf("it seals with key %s", c.Remove)
		case i > 0:
			next, removed = slices.Delete(next, i, i+1), old[i]
		}
	}
	return next, removed, nil
}
