// Package keys changes the keys of a running flock, agent by agent, and locks no
// live agent out.
//
// A change is made by asking every live agent through gossip for its keys, and
// then each for the change. It is refused unless all of them have answered. An
// agent writes a change to its key file before it makes it.
package keys

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/member"
	"duckduckgoose/wire"
)

// Changer changes the keys of the flock from one agent, and this agent's own
// keys when others ask. Its methods are safe for many goroutines.
type Changer struct {
	host Host
	turn chan struct{} // held by whatever changes the keys or the key file
}

// Host is the agent whose keys these are.
type Host interface {
	State(context.Context) (State, error)
	// SetKeys makes these the keys of the running agent, as askedBy wants.
	SetKeys(ctx context.Context, keys [][]byte, askedBy election.ID) error
}

// State is an agent at one moment.
type State struct {
	Keys   [][]byte // its own, the sealing one first
	File   string   // the key file; "": none
	Gossip *gossip.Gossip
	Live   []member.Peer // by name, this agent included
	Absent []member.Peer // failed ones, and voters that gossip has forgotten
}

// New makes the changer of an agent.
func New(host Host) *Changer { return &Changer{host: host, turn: make(chan struct{}, 1)} }

// Turn waits until nothing else changes the keys, and holds the others off until
// done is called. Reading a key file and setting its keys must share one turn.
func (c *Changer) Turn(ctx context.Context) (done func(), err error) {
	select {
	case c.turn <- struct{}{}:
		return func() { <-c.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("the keys are being changed already: %w", ctx.Err())
	}
}

// Handlers answer the questions that other agents ask about keys. Tickets given
// by earlier handlers are not valid for these.
func (c *Changer) Handlers() map[string]gossip.Handler {
	r := &responder{c: c}
	return map[string]gossip.Handler{keysQuestion: r.tell, changeQuestion: r.change}
}

// idsOf gives the ids of keys.
func idsOf(keys [][]byte) []string {
	ids := make([]string, 0, len(keys))
	for _, k := range keys {
		ids = append(ids, wire.KeyID(k))
	}
	return ids
}

// errNoKeys is the error where nothing is sealed.
var errNoKeys = api.WithCode(api.CodeNoKeys, api.Conflict("this flock has no key, and a running one cannot begin to seal: stop all agents, and start them with one key"))

// rings are the keys of all members of a flock at one moment.
type rings struct {
	State
	replies []gossip.Reply
	of      []ring   // of those replies that have no error
	unseen  []string // agents that are alive for others, and not for this one
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

// show gives what the API shows.
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
		k.Warnings = append(k.Warnings, strings.Join(forgetful, " ")+": no key file was given: a restart forgets what is changed here")
	}
	for _, name := range r.unseen {
		k.Warnings = append(k.Warnings, name+": alive for others, and not for this agent: it was not asked")
	}
	for _, p := range r.Absent {
		k.Absent = append(k.Absent, api.KeyAbsent{Name: p.Meta.Name, Addr: p.AddrText(), Sees: r.sees()})
	}
	return k
}

// sees tells what an absent agent will meet when it returns.
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

// complete gives an error unless every agent that is alive for anybody answered.
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
		return api.Conflict("%s: nothing was changed: not all live agents have answered: %s; none may be locked out: ask again when they do", what, strings.Join(silent, ", "))
	}
	return nil
}

// change asks all live agents for one change, each with the ticket it gave.
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
		return api.Conflict("%s: done at %s, not at %s: nobody is locked out by that; mend it and ask again", what, strings.Join(done, " "), strings.Join(faults, ", "))
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

// Keys tells which agents hold which keys. It asks every live agent.
func (c *Changer) Keys(ctx context.Context) (api.Keys, error) {
	r, err := c.ask(ctx)
	if err != nil {
		return api.Keys{}, err
	}
	return r.show(), nil
}

// Install gives every live agent a key to open with. Nothing changes
// at an agent that already holds it.
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

// Use makes every live agent seal with the key of this id. It is refused
// unless all of them hold it: none is locked out.
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
		return api.Keys{}, api.WithCode(api.CodeKeyUnknown, api.Conflict("%s: no live agent holds it", what))
	case len(without) > 0:
		return api.Keys{}, api.WithCode(api.CodeKeyMissing, api.Conflict("%s: nothing was changed: not held by %s, which would be locked out", what, strings.Join(without, " ")))
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
		return api.Keys{}, api.WithCode(api.CodeKeyInUse, api.Conflict("%s: nothing was changed: %s seal with it", what, strings.Join(sealing, " ")))
	}
	if err := r.complete(what); err != nil {
		return api.Keys{}, err
	}
	if !held {
		return api.Keys{}, api.WithCode(api.CodeKeyUnknown, api.Conflict("%s: no live agent holds it", what))
	}
	return c.after(ctx, r.change(ctx, what, change{Remove: id}))
}
