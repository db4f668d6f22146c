package config

import (
	"net/netip"
	"time"

	"duckduckgoose/agent/port"
)

// Transport is one agent's network. The real one is [port.ListenUDP].
type Transport = port.Transport

// Faults is the network emulator as an agent sees it.
type Faults interface {
	// Set replaces the rules; ttl 0 keeps them for ever. An error leaves the old ones.
	Set(rules string, ttl time.Duration) error
	Clear()
	// Show gives the rules as they print; expiresIn is below 0 when they do not expire.
	Show() (rules string, expiresIn time.Duration, seed uint64)
	// Learn tells who is who, so that rules can name agents.
	Learn(names map[netip.AddrPort]string)
	Counters() map[string]uint64
}
