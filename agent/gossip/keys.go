package gossip

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// Sealed tells whether gossip is sealed with keys.
func (g *Gossip) Sealed() bool { return g.keyring != nil }

// SetKeys makes the keyring hold these keys in this order; the first one seals.
// It cannot begin or end sealing. A key is removed only from the end: otherwise
// memberlist moves the others in place while they are read.
func (g *Gossip) SetKeys(keys [][]byte) error {
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

// gossipKey derives memberlist's key, so that no two ciphers share one.
func gossipKey(key []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, key, nil, "duckduckgoose gossip 1", 32)
}
