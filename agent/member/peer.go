package member

import (
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
)

// PeerState is what gossip says of an agent.
type PeerState uint8

// The states. The zero value is not used, so that a forgotten state shows.
const (
	Alive  PeerState = 1 + iota
	Failed           // gossip counts it as dead
	Left             // it has left the flock for good
)

// String gives the word that the API shows.
func (s PeerState) String() string {
	switch s {
	case Alive:
		return "alive"
	case Failed:
		return "failed"
	case Left:
		return "left"
	}
	return "unknown"
}

// Peer is one agent as gossip shows it, this one included.
type Peer struct {
	ID    election.ID
	Addr  netip.AddrPort
	State PeerState
	Meta  Meta
	RTT   time.Duration // of gossip's pings; 0: unknown
}

// AddrText is the address for people; "": unknown.
func (p *Peer) AddrText() string {
	if p.Addr.IsValid() {
		return p.Addr.String()
	}
	return ""
}

// Meta is what an agent tells the others about itself by gossip.
type Meta struct {
	Name     string
	FlockID  election.FlockID // zero: bound to none
	Start    uint64           // process starts of its disk (rule 10)
	Life     uint64           // random per process (rule 10)
	Priority uint8
	Expect   uint8             // --expect; 0: not given
	Observer bool              // it is never to become a voter
	Accepted bool              // it takes part in a founding that is under way
	Left     bool              // gone for good
	Settled  bool              // it has run long enough to keep its name
	Holders  bool              // work for the goose is attached
	Tags     map[string]string // --tag

	PreemptAfter time.Duration // takes over from a goose of a lower priority once steady for so long; 0: never
	Freeze       FreezeNotice  // the newest it knows
	Elections    uint64        // hash of the names it contests; 0: none
	Config       ShownConfig   // of the default election (rule 27)
}

// ShownConfig says how new the config is that an agent has.
type ShownConfig struct {
	Known      bool // false: the agent does not tell
	Generation uint64
	ID         election.ConfigID
}

// MaxPreemptAfter is the largest Meta.PreemptAfter.
const MaxPreemptAfter = 24 * time.Hour

// FreezeNotice tells of a freeze of the flock, or of its end. The notice with
// the highest stamp counts. A stamp is the wall clock where the command was
// given, and above every stamp known there.
type FreezeNotice struct {
	Stamp uint64        `json:"stamp"`
	Left  time.Duration `json:"left_ns"` // 0: thawed, or over
}
