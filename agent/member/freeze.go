package member

import "time"

const (
	// MaxFreeze is the longest freeze.
	MaxFreeze = 24 * time.Hour
	// LastStamp is the highest stamp that is believed. Real time is far from it,
	// and a command can always stamp itself higher.
	LastStamp = 1 << 61
)

// Freeze is what a process knows of a freeze of the flock. It is not on the
// disk: a process that starts anew hears of it from the others.
type Freeze struct {
	Stamp  uint64        // of the newest notice; 0: none was heard of
	Until  time.Duration // boot clock
	forget time.Duration // boot clock: an older freeze that this notice ended is over everywhere by then
}

// Freeze gives what this agent knows.
func (m *Member) Freeze() Freeze { return m.freeze }

// FrozenFor tells how much of the freeze known here is left; 0: none. Frozen
// means: no step-down without force, no preemption, no change of voters but
// what heals. A stop of the goose still hands over.
func (m *Member) FrozenFor(now time.Duration) time.Duration { return max(0, m.freeze.Until-now) }

// TakeFreeze takes a notice that is newer than the one known, and tells the
// others. It gives false for one that is older, or not to be believed.
func (m *Member) TakeFreeze(n FreezeNotice) bool {
	if n.Stamp == 0 || n.Stamp > LastStamp || n.Stamp <= m.freeze.Stamp {
		return false
	}
	now := m.host.Now()
	left := min(max(n.Left, 0), MaxFreeze)
	m.freeze = Freeze{Stamp: n.Stamp, Until: now + left, forget: now + MaxFreeze}
	kind := EventThawed
	if left > 0 {
		kind = EventFrozen
	}
	m.host.Tell(Event{Kind: kind, For: left})
	m.LookNow()
	return true
}

// StampFreeze gives the notice of a new freeze, or with left 0 of a thaw. Its
// stamp is above every stamp known here; wall is the wall clock in nanoseconds.
func (m *Member) StampFreeze(wall int64, left time.Duration) (FreezeNotice, error) {
	if m.FlockID().IsZero() {
		return FreezeNotice{}, refused(NoFlock)
	}
	n := FreezeNotice{Stamp: max(uint64(max(0, wall)), m.freeze.Stamp+1), Left: left}
	if !m.TakeFreeze(n) {
		return n, refused(StampTooLarge)
	}
	return n, nil
}

// hearFreezes takes what gossip tells.
func (m *Member) hearFreezes() {
	for _, p := range m.peers {
		if p.State == Alive && p.ID != m.id && p.Meta.FlockID == m.FlockID() {
			m.TakeFreeze(p.Meta.Freeze)
		}
	}
}

// freezeNotice is what gossip tells the others. What is left changes in steps,
// so that gossip does not speak of it all the time.
func (m *Member) freezeNotice() FreezeNotice {
	now := m.host.Now()
	if m.freeze.Stamp == 0 || now >= m.freeze.forget {
		return FreezeNotice{}
	}
	left, step := m.FrozenFor(now), time.Minute
	if left > 10*step {
		step *= 5
	}
	return FreezeNotice{Stamp: m.freeze.Stamp, Left: (left + step - 1) / step * step}
}
