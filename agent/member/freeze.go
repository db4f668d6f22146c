package member

import "time"

const (
	// MaxFreeze is the longest freeze.
	MaxFreeze = 24 * time.Hour
	// LastStamp is the highest stamp that is accepted. Real time is far below it, and a
	// command can always use a higher stamp than the last.
	LastStamp = 1 << 61
)

// Freeze is what a process knows of a freeze of the flock. It is not on the disk: a new
// process hears of it from the other agents.
type Freeze struct {
	Stamp  uint64        // of the newest notice; 0: none was heard of
	Until  time.Duration // boot clock
	forget time.Duration // boot clock: by then, any older freeze is over everywhere
}

// Freeze returns what this agent knows of a freeze.
func (m *Member) Freeze() Freeze { return m.freeze }

// FrozenFor returns how much of the freeze known here is left; 0: none. While frozen: no
// step-down without force, no preemption, and only changes of voters that replace a dead
// one. A stopping goose still hands over.
func (m *Member) FrozenFor(now time.Duration) time.Duration { return max(0, m.freeze.Until-now) }

// TakeFreeze accepts a notice that is newer than the known one, and tells the other
// agents. It returns false for an older or implausible one.
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

// StampFreeze returns the notice of a new freeze, or, with left 0, of a thaw. Its stamp
// is above every stamp known here; wall is the wall clock in nanoseconds.
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

// freezeNotice returns the notice for gossip. The remaining time changes in steps, so
// that gossip stays quiet.
func (m *Member) freezeNotice(now time.Duration) FreezeNotice {
	if m.freeze.Stamp == 0 || now >= m.freeze.forget {
		return FreezeNotice{}
	}
	left, step := m.FrozenFor(now), time.Minute
	if left > 10*step {
		step *= 5
	}
	return FreezeNotice{Stamp: m.freeze.Stamp, Left: (left + step - 1) / step * step}
}
