// Package keys changes the keys of a running flock, one agent after the other, without
// locking out a live agent.
//
// A change first asks every live agent for its keys, by gossip, and then sends each of
// them the change. If an agent does not answer, nothing changes. An agent writes its key
// file before it uses the new keys.
package keys

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/member"
	"duckduckgoose/wire"
)

// Changer changes the flock's keys from this agent, and this agent's keys when another
// agent asks. Its methods are safe for concurrent use.
type Changer struct {
	host Host
	turn chan struct{} // held while the keys or the key file change
}

// Host is the agent that has the keys.
type Host interface {
	State(context.Context) (State, error)
	// SetKeys replaces the keys of the running agent; askedBy is the agent that asked for
	// it.
	SetKeys(ctx context.Context, keys [][]byte, askedBy election.ID) error
}

// State is an agent at one moment.
type State struct {
	Keys   [][]byte // its own; the first one seals
	File   string   // the key file; "": none
	Gossip *gossip.Gossip
	Live   []member.Peer // by name, this agent included
	Absent []member.Peer // failed agents, and voters that gossip has forgotten
}

// New returns the changer of an agent.
func New(host Host) *Changer { return &Changer{host: host, turn: make(chan struct{}, 1)} }

// Turn waits for its turn to change the keys, and keeps it until done is called. Reading
// a key file and using its keys must be one turn.
func (c *Changer) Turn(ctx context.Context) (done func(), err error) {
	select {
	case c.turn <- struct{}{}:
		return func() { <-c.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("another key change is running: %w", ctx.Err())
	}
}

// Handlers answer other agents' questions about keys. Tickets of earlier Handlers are
// not valid here.
func (c *Changer) Handlers() map[string]gossip.Handler {
	r := &responder{c: c}
	return map[string]gossip.Handler{keysQuestion: r.tell, changeQuestion: r.change}
}

// idsOf returns the ids of keys.
func idsOf(keys [][]byte) []string {
	ids := make([]string, 0, len(keys))
	for _, k := range keys {
		ids = append(ids, wire.KeyID(k))
	}
	return ids
}

// errNoKeys: the flock runs without a key.
var errNoKeys = api.WithCode(api.CodeNoKeys, api.Conflict("this flock runs without a key, and cannot get one while it runs: stop all agents, then start them with the same --key-file"))

// rings holds the keys of all members of the flock at one moment.
type rings struct {
	State
	replies []gossip.Reply
	of      []ring   // by reply; empty where the reply is an error
	unseen  []string // agents that others see alive, and this agent does not
}

// ask asks every live agent for its keys.
func (c *Changer) ask(ctx context.Context) (*rings, error) {
	st, err := c.host.State(ctx)
	if err != nil {
		return nil, err
	}
	if len(st.Keys) == 0 {
		return nil, errNoKeys
	}
	all := &rings{State: st, of: make([]ring, len(st.Live))}
	all.replies = st.Gossip.Gather(ctx, st.Live, keysQuestion, func(member.Peer) any { return struct{}{} })
	unseen := map[string]string{}
	for i := range all.replies {
		all.replies[i].Err = all.replies[i].Read(&all.of[i])
		for id, name := range all.of[i].Alive {
			if parsed, err := election.ParseID(id); err == nil {
				if _, alive := st.Gossip.Alive(parsed); alive {
					continue
				}
			}
			unseen[id] = name
		}
	}
	all.unseen = slices.Sorted(maps.Values(unseen))
	return all, nil
}

// show returns the answer of the API.
func (r *rings) show() api.Keys {
	var k api.Keys
	at := map[string]int{}
	key := func(id string) *api.Key {
		i, ok := at[id]
		if !ok {
			i = len(k.Keys)
			at[id] = i
			k.Keys = append(k.Keys, api.Key{ID: id})
		}
		return &k.Keys[i]
	}
	var forgetful []string
	for i, p := range r.replies {
		h := api.KeyHolder{Name: p.Meta.Name, ID: p.ID.String(), Keys: r.of[i].Keys, Kept: r.of[i].Kept}
		if p.Err != nil {
			h.Error = p.Err.Error()
		} else if !h.Kept {
			forgetful = append(forgetful, h.Name)
		}
		for n, id := range r.of[i].Keys {
			c := key(id)
			c.Holding = append(c.Holding, h.Name)
			if n == 0 {
				c.Sealing = append(c.Sealing, h.Name)
			}
		}
		k.Agents = append(k.Agents, h)
	}
	for n := range k.Keys {
		for i, p := range r.replies {
			if p.Err == nil && !slices.Contains(r.of[i].Keys, k.Keys[n].ID) {
				k.Keys[n].Missing = append(k.Keys[n].Missing, p.Meta.Name)
			}
		}
	}
	slices.SortStableFunc(k.Keys, func(a, b api.Key) int { return len(b.Sealing) - len(a.Sealing) })
	if len(forgetful) > 0 {
		k.Warnings = append(k.Warnings, strings.Join(forgetful, " ")+": started without --key-file: a restart forgets this change")
	}
	for _, name := range r.unseen {
		k.Warnings = append(k.Warnings, name+": other agents see it alive, this agent does not: it was not asked")
	}
	for _, p := range r.Absent {
		k.Absent = append(k.Absent, api.KeyAbsent{Name: p.Meta.Name, Addr: p.AddrText(), Sees: r.sees()})
	}
	return k
}

// sees says what an absent agent will see when it returns.
func (r *rings) sees() string {
	var used []string
	for i := range r.of {
		if len(r.of[i].Keys) > 0 && !slices.Contains(used, r.of[i].Keys[0]) {
			used = append(used, r.of[i].Keys[0])
		}
	}
	key := strings.Join(used, " and ")
	return fmt.Sprintf("it hears nobody when it returns, and its status warns \"seals with key %s, we hold ...\", unless it holds key %s: put that into its key file before it starts, or SIGHUP it", key, key)
}

// complete returns an error if an agent that any other sees alive has not answered.
func (r *rings) complete(what string) error {
	var silent []string
	for _, p := range r.replies {
		if p.Err != nil {
			silent = append(silent, fmt.Sprintf("%s (%v)", p.Meta.Name, p.Err))
		}
	}
	for _, name := range r.unseen {
		silent = append(silent, name+" (alive for others, and not for this agent)")
	}
	if len(silent) > 0 {
		return api.Conflict("%s: nothing was changed, because a live agent without the change would be locked out; no answer from %s: try again when all answer", what, strings.Join(silent, ", "))
	}
	return nil
}

// change sends one change to all live agents, each with the ticket it gave.
func (r *rings) change(ctx context.Context, what string, wanted change) error {
	ticket := map[election.ID]string{}
	for i, p := range r.replies {
		ticket[p.ID] = r.of[i].Ticket
	}
	replies := r.Gossip.Gather(ctx, r.Live, changeQuestion, func(p member.Peer) any {
		c := wanted
		c.Ticket = ticket[p.ID]
		return c
	})
	var faults, done []string
	for _, p := range replies {
		if p.Err != nil {
			faults = append(faults, fmt.Sprintf("%s (%v)", p.Meta.Name, p.Err))
		} else {
			done = append(done, p.Meta.Name)
		}
	}
	if len(faults) > 0 {
		if len(done) == 0 {
			done = []string{"nobody"}
		}
		return api.Conflict("%s: done at %s, failed at %s: no agent is locked out; fix the cause and run the command again", what, strings.Join(done, " "), strings.Join(faults, ", "))
	}
	return nil
}

// after shows the keys of the flock after a change.
func (c *Changer) after(ctx context.Context, err error) (api.Keys, error) {
	if err != nil {
		return api.Keys{}, err
	}
	return c.Keys(ctx)
}

// Keys returns which agents have which keys. It asks every live agent.
func (c *Changer) Keys(ctx context.Context) (api.Keys, error) {
	r, err := c.ask(ctx)
	if err != nil {
		return api.Keys{}, err
	}
	return r.show(), nil
}

// Install gives every live agent a key to open datagrams with. An agent that already has
// it stays as it is.
func (c *Changer) Install(ctx context.Context, key []byte) (api.Keys, error) {
	if len(key) != wire.KeySize {
		return api.Keys{}, api.Input("key of %d bytes: want %d", len(key), wire.KeySize)
	}
	r, err := c.ask(ctx)
	if err != nil {
		return api.Keys{}, err
	}
	what := "install key " + wire.KeyID(key)
	if err := r.complete(what); err != nil {
		return api.Keys{}, err
	}
	return c.after(ctx, r.change(ctx, what, change{Install: key}))
}

// Use makes every live agent seal with the key of this id. It is refused unless all of
// them have that key, so that none is locked out.
func (c *Changer) Use(ctx context.Context, id string) (api.Keys, error) {
	r, err := c.ask(ctx)
	if err != nil {
		return api.Keys{}, err
	}
	what := "use key " + id
	var without []string
	for i, p := range r.replies {
		if p.Err == nil && !slices.Contains(r.of[i].Keys, id) {
			without = append(without, p.Meta.Name)
		}
	}
	switch {
	case len(without) == len(r.replies):
		return api.Keys{}, api.WithCode(api.CodeKeyUnknown, api.Conflict("%s: no live agent has it", what))
	case len(without) > 0:
		return api.Keys{}, api.WithCode(api.CodeKeyMissing, api.Conflict("%s: nothing was changed: %s would be locked out, because the key is missing there (ddgoose keys install)", what, strings.Join(without, " ")))
	}
	if err := r.complete(what); err != nil {
		return api.Keys{}, err
	}
	return c.after(ctx, r.change(ctx, what, change{Use: id}))
}

// Remove takes a key away from every live agent. It is refused while any of
// them seals with it.
func (c *Changer) Remove(ctx context.Context, id string) (api.Keys, error) {
	r, err := c.ask(ctx)
	if err != nil {
		return api.Keys{}, err
	}
	what := "remove key " + id
	var sealing []string
	held := false
	for i, p := range r.replies {
		if keys := r.of[i].Keys; len(keys) > 0 && keys[0] == id {
			sealing = append(sealing, p.Meta.Name)
		}
		held = held || slices.Contains(r.of[i].Keys, id)
	}
	if len(sealing) > 0 {
		return api.Keys{}, api.WithCode(api.CodeKeyInUse, api.Conflict("%s: nothing was changed: still used by %s (ddgoose keys use ANOTHER)", what, strings.Join(sealing, " ")))
	}
	if err := r.complete(what); err != nil {
		return api.Keys{}, err
	}
	if !held {
		return api.Keys{}, api.WithCode(api.CodeKeyUnknown, api.Conflict("%s: no live agent has it", what))
	}
	return c.after(ctx, r.change(ctx, what, change{Remove: id}))
}
