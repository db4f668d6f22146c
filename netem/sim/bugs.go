package sim

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// bugs are faults that tests plant between a member and its host, to prove that the
// checker finds them. The zero value plants none.
type bugs struct {
	// born changes a member that has just begun.
	born func(l *life)
	// hears changes a received message before the member sees it; says changes a sent
	// one.
	hears func(l *life, number uint64, m *election.Message)
	says  func(l *life, m *wire.Message)
	// saves changes what is written to the disk.
	saves func(old, next store.State) store.State
	// grants changes the lease that readers see; keeps suppresses its end.
	grants func(at *local, lease election.Lease) election.Lease
	keeps  func(at *local) bool
	// holders changes what the member hears of its holders.
	holders func(member.Holders) member.Holders
	// lag is the delay with which the end of a lease is shown.
	lag time.Duration
	// drift multiplies the drift of clocks.
	drift int64
	// disk wraps an agent's disk.
	disk func(store.FS) store.FS
	// unraised: nobody raises the mark.
	unraised bool
	// hastyWill sends a last will although holders still act; wakeWill sends the will of a
	// process that is only stopped.
	hastyWill, wakeWill bool
	// early handles datagrams by the turn before's reading of the clock.
	early bool
	// stalls is the longest pause of loops in their turns, until the flock is healed. It breaks
	// no promise.
	stalls time.Duration
	// late delays the save of a turn.
	late lateness
}

// lateness is the moment of a save.
type lateness uint8

const (
	onTime      lateness = iota
	afterGrants          // before anything is sent, but after leases are granted
	afterSends           // after everything else
)
