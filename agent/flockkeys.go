package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// errNoKeys answers where nothing is sealed.
var errNoKeys = api.Conflict("this flock has no key, and a running one cannot begin to seal: stop all agents, and start them with one --key-file (ddgoose keygen --out F)")

// roll is who is asked, and who cannot be.
type roll struct {
	gossip *gossip
	live   []peer // by name, this agent included
	absent []peer // dead ones, and voters that gossip has forgotten
}

func (l *life) roll() roll {
	r := roll{gossip: l.gossip}
	for _, p := range l.peers {
		switch p.State {
		case api.StateAlive:
			r.live = append(r.live, p)
		case api.StateFailed:
			r.absent = append(r.absent, p)
		}
	}
	if l.node() != nil {
		rec := l.node().Record()
		for _, v := range rec.Config.Members() {
			if !slices.ContainsFunc(l.peers, func(p peer) bool { return p.ID == v.ID }) {
				r.absent = append(r.absent, peer{ID: v.ID, State: api.StateFailed, Meta: peerMeta{Name: l.nameOf(v.ID)}})
			}
		}
	}
	byName := func(a, b peer) int { return strings.Compare(a.Meta.Name, b.Meta.Name) }
	slices.SortFunc(r.live, byName)
	slices.SortFunc(r.absent, byName)
	return r
}

func (a *Agent) callRoll(ctx context.Context) (roll, error) {
	return ask(ctx, a, func(l *life, answer func(roll, error)) error {
		answer(l.roll(), nil)
		return nil
	})
}

// rings are the keys of a whole flock at one moment.
type rings struct {
	roll
	replies []reply
	of      []ring // of those replies that have no error
	unseen  []string
}

// allRings asks every live agent for its keys.
func (a *Agent) allRings(ctx context.Context) (*rings, error) {
	r, err := a.callRoll(ctx)
	if err != nil {
		return nil, err
	}
	if len(a.keys.Load().KeyIDs()) == 0 {
		return nil, errNoKeys
	}
	all := &rings{roll: r, of: make([]ring, len(r.live))}
	all.replies = r.gossip.asks.gather(ctx, r.live, keysTopic, func(peer) any { return struct{}{} })
	unseen := map[string]string{}
	for i := range all.replies {
		all.replies[i].Err = all.replies[i].read(&all.of[i])
		for id, name := range all.of[i].Alive {
			if _, known := r.gossip.alivePeer(id); !known {
				unseen[id] = name
			}
		}
	}
	all.unseen = slices.Sorted(maps.Values(unseen))
	return all, nil
}

// show says it for people and programs.
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
		k.Warnings = append(k.Warnings, strings.Join(forgetful, " ")+": no --key-file was given: a restart forgets what is changed here")
	}
	for _, name := range r.unseen {
		k.Warnings = append(k.Warnings, name+": alive for others, and not for this agent: it was not asked")
	}
	for _, p := range r.absent {
		k.Absent = append(k.Absent, api.KeyAbsent{Name: p.Meta.Name, Addr: addrText(p), Sees: r.sees()})
	}
	return k
}

func addrText(p peer) string {
	if p.Addr.IsValid() {
		return p.Addr.String()
	}
	return ""
}

// sees is what becomes of an agent that is not there.
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

// complete refuses unless every agent that is alive for anybody has answered.
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
func (r *rings) change(ctx context.Context, what string, c keyChange) error {
	ticket := map[election.ID]string{}
	for i, p := range r.replies {
		ticket[p.ID] = r.of[i].Ticket
	}
	replies := r.gossip.asks.gather(ctx, r.live, keyChangeTopic, func(p peer) any {
		c := c
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

// keysAfter shows the rings as they are once a change has been made.
func (a *Agent) keysAfter(ctx context.Context, err error) (api.Keys, error) {
	if err != nil {
		return api.Keys{}, err
	}
	return a.Keys(ctx)
}

// Keys tells which agents hold which keys. It asks every live one.
func (a *Agent) Keys(ctx context.Context) (api.Keys, error) {
	r, err := a.allRings(ctx)
	if err != nil {
		return api.Keys{}, err
	}
	return r.show(), nil
}

// InstallKey gives every live agent a key to open with. An agent that already
// holds it is content.
func (a *Agent) InstallKey(ctx context.Context, key []byte) (api.Keys, error) {
	if len(key) != wire.KeySize {
		return api.Keys{}, api.Input("key of %d bytes: want %d (ddgoose keygen)", len(key), wire.KeySize)
	}
	r, err := a.allRings(ctx)
	if err != nil {
		return api.Keys{}, err
	}
	what := "install key " + wire.KeyID(key)
	if err := r.complete(what); err != nil {
		return api.Keys{}, err
	}
	return a.keysAfter(ctx, r.change(ctx, what, keyChange{Install: key}))
}

// UseKey makes every live agent seal with the key of this id. It is refused
// unless all of them hold it: none is locked out.
func (a *Agent) UseKey(ctx context.Context, id string) (api.Keys, error) {
	r, err := a.allRings(ctx)
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
		return api.Keys{}, api.Conflict("%s: no live agent holds it (ddgoose keys list shows those there are, ddgoose keys install adds one)", what)
	case len(without) > 0:
		return api.Keys{}, api.Conflict("%s: nothing was changed: not held by %s, which would be locked out (ddgoose keys install, then again)", what, strings.Join(without, " "))
	}
	if err := r.complete(what); err != nil {
		return api.Keys{}, err
	}
	return a.keysAfter(ctx, r.change(ctx, what, keyChange{Use: id}))
}

// RemoveKey takes a key away from every live agent. It is refused while any of
// them seals with it.
func (a *Agent) RemoveKey(ctx context.Context, id string) (api.Keys, error) {
	r, err := a.allRings(ctx)
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
		return api.Keys{}, api.Conflict("%s: nothing was changed: %s seal with it (ddgoose keys use another one first)", what, strings.Join(sealing, " "))
	}
	if err := r.complete(what); err != nil {
		return api.Keys{}, err
	}
	if !held {
		return api.Keys{}, api.Conflict("%s: no live agent holds it (ddgoose keys list shows those there are)", what)
	}
	return a.keysAfter(ctx, r.change(ctx, what, keyChange{Remove: id}))
}

// topics are what other agents may ask this one.
func (l *life) topics() map[string]topic {
	desk := &keyDesk{a: l.Agent}
	return map[string]topic{
		keysTopic: desk.tell, keyChangeTopic: desk.change,
		measureTopic: l.Agent.answerMeasure, checkupTopic: l.Agent.answerCheckup, pingTopic: answerPing, whyTopic: l.Agent.answerWhy,
		freezeTopic: l.Agent.answerFreeze, tableTopic: l.Agent.answerTable,
	}
}

func answerPing(context.Context, election.ID, json.RawMessage) (any, error) { return struct{}{}, nil }
