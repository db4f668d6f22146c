package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"duckduckgoose/agent/api"
	"duckduckgoose/wire"
)

// SetKeys changes the keys of a running agent: the first seals from now on,
// all open. To change a flock's key, give every agent the new key behind the
// old one, then before it, then alone. It cannot begin or end sealing, which
// needs a restart of the whole flock.
func (a *Agent) SetKeys(ctx context.Context, keys [][]byte) error {
	done, err := a.takeKeyTurn(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
		answer(struct{}{}, l.setKeys(keys))
		return nil
	})
	return err
}

// takeKeyTurn waits until nobody else changes the keys: a key file and the ring
// that it was read into, or is written from, go together.
func (a *Agent) takeKeyTurn(ctx context.Context) (done func(), err error) {
	select {
	case a.keyTurn <- struct{}{}:
		return func() { <-a.keyTurn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("the keys are being changed already: %w", ctx.Err())
	}
}

func (l *life) setKeys(keys [][]byte) error {
	ring, err := wire.NewKeyring(l.cfg.Flock, keys)
	if err != nil {
		return err
	}
	if (len(keys) == 0) != (l.gossip.keyring == nil) {
		return api.Conflict("sealing begins or ends at a start only, on all agents of a flock: restart them")
	}
	if err := l.gossip.setKeys(keys); err != nil {
		return err
	}
	l.keys.Store(ring)
	l.Agent.cfg.Keys = keys // the loop's own: the next life reads it
	return nil
}

// setKeys makes the keyring hold these keys in this order. A key is taken away
// only from the end: memberlist shifts the others in place otherwise, under
// its readers.
func (g *gossip) setKeys(keys [][]byte) error {
	if g.keyring == nil {
		return nil
	}
	var wanted [][]byte
	for _, k := range keys {
		derived, err := gossipKey(k)
		if err != nil {
			return fmt.Errorf("gossip key: %w", err)
		}
		wanted = append(wanted, derived)
	}
	var errs []error
	for _, k := range slices.Backward(wanted) {
		errs = append(errs, g.keyring.AddKey(k), g.keyring.UseKey(k))
	}
	for _, k := range slices.Backward(slices.Clone(g.keyring.GetKeys())) {
		if !slices.ContainsFunc(wanted, func(w []byte) bool { return bytes.Equal(w, k) }) {
			errs = append(errs, g.keyring.RemoveKey(k))
		}
	}
	return errors.Join(errs...)
}
