package sim

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// bugs are faults which tests plant between a member and its host, to see that
// the checker finds them. The zero value has none.
type bugs struct {
	// born changes a member that has just begun.
	born func(l *life)
	// hears changes a message before the member sees it, and says one that leaves.
	hears func(l *life, number uint64, m *election.Message)
	says  func(l *life, m *wire.Message)
	// saves changes what goes to the disk.
	saves func(old, next store.State) store.State
	// grants changes the lease that is shown, and keeps prevents its end from being told.
	grants func(at *local, lease election.Lease) election.Lease
	keeps  func(at *local) bool
	// holders changes what the member is told of holders.
	holders func(member.Holders) member.Holders
	// lag is how much later than it should an end of a lease is told.
	lag time.Duration
	// drift is what clock rates are multiplied by.
	drift int64
	// disk comes between an agent and its disk.
	disk func(store.FS) store.FS
	// late puts the save of a turn off.
	late lateness
}

// lateness is when a save happens.
type lateness uint8

const (
	onTime      lateness = iota
	afterGrants          // before anything is sent, but after leases are granted
	afterSends           // after all else
)
