package agent

import (
	"context"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/keys"
	"duckduckgoose/wire"
)

// SetKeys changes the keys of a running agent: the first seals from now on,
// all open. To change a flock's key, give every agent the new key behind the
// old one, then before it, then alone. It cannot begin or end sealing, which
// needs a restart of the whole flock.
func (a *Agent) SetKeys(ctx context.Context, keys [][]byte) error {
	done, err := a.keyChanger.Turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	return a.onLoop(ctx, func(l *life) error { return l.setKeys(keys) })
}

func (l *life) setKeys(keys [][]byte) error {
	ring, err := wire.NewKeyring(l.cfg.Flock, keys)
	if err != nil {
		return err
	}
	if (len(keys) == 0) != (len(l.keys.Load().KeyIDs()) == 0) {
		return api.Conflict("sealing begins or ends at a start only, on all agents of a flock: restart them")
	}
	l.keys.Store(ring)
	l.member.RenewWills()
	l.Agent.cfg.Keys = keys // only the loop reads it, for the next life
	return nil
}

// Keys returns which agents hold which keys. It asks every live agent.
func (a *Agent) Keys(ctx context.Context) (api.Keys, error) { return a.keyChanger.Keys(ctx) }

// InstallKey gives every live agent a key to open with. Nothing changes at an
// agent that already holds it.
func (a *Agent) InstallKey(ctx context.Context, key []byte) (api.Keys, error) {
	return a.keyChanger.Install(ctx, key)
}

// UseKey makes every live agent seal with the key of this id. It is refused unless all
// of them hold it, so that no agent is locked out.
func (a *Agent) UseKey(ctx context.Context, id string) (api.Keys, error) {
	return a.keyChanger.Use(ctx, id)
}

// RemoveKey removes a key from every live agent. It is refused while one of them seals
// with it.
func (a *Agent) RemoveKey(ctx context.Context, id string) (api.Keys, error) {
	return a.keyChanger.Remove(ctx, id)
}

// keyHost is the agent as [keys.Changer] sees it.
type keyHost struct{ a *Agent }

func (h keyHost) State(ctx context.Context) (keys.State, error) {
	return look(ctx, h.a, func(l *life) (keys.State, error) {
		m := l.membership()
		return keys.State{Keys: l.cfg.Keys, File: l.cfg.KeyFile, Gossip: m.Gossip, Live: m.Live, Absent: m.Absent}, nil
	})
}

func (h keyHost) SetKeys(ctx context.Context, keys [][]byte, askedBy election.ID) error {
	return h.a.onLoop(ctx, func(l *life) error {
		err := l.setKeys(keys)
		if err == nil {
			l.log.Info("keys changed", "keys", l.keys.Load().KeyIDs(), "asked_by", l.nameOf(askedBy))
		}
		return err
	})
}
