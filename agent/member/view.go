package member

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/founding"
	"duckduckgoose/agent/store"
)

// Default returns this agent's part in the default election.
func (m *Member) Default() *Election { return m.elections[0] }

// Elections returns all elections that have begun here, the default one first. The slice
// is read-only, and valid until the next input.
func (m *Member) Elections() []*Election { return m.elections }

// Named returns an election by its name; nil: it has not begun here.
func (m *Member) Named(name string) *Election {
	i := slices.IndexFunc(m.elections, func(e *Election) bool { return e.name == name })
	if i < 0 {
		return nil
	}
	return m.elections[i]
}

// ID names this agent's disk.
func (m *Member) ID() election.ID { return m.id }

// State returns what the disk holds. It is read-only.
func (m *Member) State() store.State { return m.state }

// Founder returns the founding that is under way; nil: none.
func (m *Member) Founder() *founding.Founder { return m.founder }

// Heir returns the agent that is to take over for its priority; zero ID: none.
func (m *Member) Heir() autopilot.Heir { return m.heir }

// Stopping reports whether this life was told to end.
func (m *Member) Stopping() bool { return m.stop.started }

// Alive counts the live agents, this one included.
func (m *Member) Alive() int { return m.alive }

// Addr returns an agent's address.
func (m *Member) Addr(id election.ID) (netip.AddrPort, bool) { return m.addresses.Addr(id) }

// Remember takes an address of an earlier life, until a newer one is known: voters can
// talk before gossip has found them.
func (m *Member) Remember(id election.ID, addr netip.AddrPort) {
	m.addresses.Gossiped(m.host.Now(), id, 0, 0, addr)
}

// Gooseless returns the elections that this agent contests and that have had no goose
// for a while, although the default one has.
func (m *Member) Gooseless(now time.Duration) (names []string) {
	if m.node() == nil {
		return nil
	}
	if goose, _ := m.Default().Goose(now); goose.IsZero() {
		return nil
	}
	for _, e := range m.elections[1:] {
		// While its goose changes, an election has none for a moment.
		if e.contested && !e.Calm(now) && now-e.goosedAt >= careAfter*e.span() {
			names = append(names, e.name)
		}
	}
	for i := range m.table.entries {
		if entry := &m.table.entries[i]; !entry.Started && slices.Contains(m.set.Elections, entry.Name) {
			names = append(names, entry.Name)
		}
	}
	return append(names, m.Missing()...)
}

// AskedAt returns when this agent last asked for votes; 0: never.
func (m *Member) AskedAt() time.Duration { return m.sightings.askedAt }

// Name is the election's; "": the default one.
func (e *Election) Name() string { return e.name }

// Local returns the programs that follow the election, as the host made it.
func (e *Election) Local() Local { return e.local }

// Node returns the election's rules; nil before this disk belongs to a flock. It is
// read-only.
func (e *Election) Node() *election.Node { return e.node }

// HandingOver reports whether a planned end of the lead is under way.
func (e *Election) HandingOver() bool {
	return e.handover != nil || e.node != nil && e.node.HandingOver()
}
