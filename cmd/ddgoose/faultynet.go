package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"duckduckgoose/agent"
	"duckduckgoose/agent/port"
	"duckduckgoose/netem"
	"duckduckgoose/netem/transport"
)

// faultyNetwork opens an agent's network under fault rules, and keeps them during a
// simulated death, after which the agent opens its network again.
type faultyNetwork struct {
	seed uint64
	log  *slog.Logger

	mu      sync.Mutex // guards what follows
	rules   string
	expires time.Time // zero: never
	now     *transport.Transport
}

var _ agent.Faults = (*faultyNetwork)(nil)

// newFaultyNetwork starts with rules without an end; "": none.
func newFaultyNetwork(rules string, seed uint64, log *slog.Logger) (*faultyNetwork, error) {
	parsed, err := netem.Parse(rules)
	if err != nil {
		return nil, err
	}
	return &faultyNetwork{rules: parsed.String(), seed: seed, log: log}, nil
}

// listen is [agent.Config]'s Listen.
func (n *faultyNetwork) listen(bind string) (agent.Transport, agent.Faults, error) {
	base, err := port.ListenUDP(bind, n.log)
	if err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = transport.Wrap(base, n.seed)
	if err := n.apply(); err != nil {
		return nil, nil, fmt.Errorf("fault rules: %w", err)
	}
	return n.now, n, nil
}

// apply puts the rules in force on the present transport; mu is held.
func (n *faultyNetwork) apply() error {
	rules, left := n.standing()
	return n.now.Set(rules, left)
}

// standing returns the rules and how long they are still in force, 0: without an end;
// mu is held.
func (n *faultyNetwork) standing() (string, time.Duration) {
	if n.expires.IsZero() {
		return n.rules, 0
	}
	if left := time.Until(n.expires); left > 0 {
		return n.rules, left
	}
	return "", 0
}

// Set replaces the rules. While the agent is dead they wait for its revival.
func (n *faultyNetwork) Set(rules string, ttl time.Duration) error {
	parsed, err := netem.Parse(rules)
	if err != nil {
		return err
	}
	if ttl < 0 {
		return fmt.Errorf("rules for %v: want a time above 0s, or 0s for ever", ttl)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules, n.expires = parsed.String(), time.Time{}
	if ttl > 0 {
		n.expires = time.Now().Add(ttl)
	}
	_ = n.apply() // it fails only if the network is closed: then the next network applies the rules
	return nil
}

// Clear ends all faults.
func (n *faultyNetwork) Clear() { _ = n.Set("", 0) }

// Show returns the rules in force, also while the agent is dead.
func (n *faultyNetwork) Show() (string, time.Duration, uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	rules, left := n.standing()
	if left == 0 {
		left = -1
	}
	return rules, left, n.seed
}

// Unmatched returns the words of the rules that match none of these peers.
func (n *faultyNetwork) Unmatched(names map[netip.AddrPort]string) []string {
	return n.transport().Unmatched(names)
}

// Learn sets the agents' names by address.
func (n *faultyNetwork) Learn(names map[netip.AddrPort]string) { n.transport().Learn(names) }

// Counters counts this life's faults.
func (n *faultyNetwork) Counters() map[string]uint64 { return n.transport().Counters() }

func (n *faultyNetwork) transport() *transport.Transport {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}
