package sim

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/netem/check"
)

// bugs are faults in the agents' own code, which tests plant to see that the
// checker finds them. The zero value has none.
type bugs struct {
	// born changes what a starting node is told of its disk being fresh.
	born func(fresh bool) bool
	// deaf makes the node never hear of an input.
	deaf func(in election.Input) bool
	// reads changes a message before the node sees it.
	reads func(l *life, m *election.Message)
	// writes changes what goes to the disk in place of a record.
	writes func(old, rec election.Record) election.Record
	// posts changes the lease that is published.
	posts func(l *life, lease election.Lease) election.Lease
	// says changes a message that leaves.
	says func(l *life, m *election.Message)
	// lag is how much later than it should an end of a lease is published.
	lag time.Duration
	// drift is what clock rates are multiplied by.
	drift int64
	// disk comes between an agent and its disk.
	disk func(store.FS) store.FS
}

func (b *bugs) fresh(fresh bool) bool {
	if b.born == nil {
		return fresh
	}
	return b.born(fresh)
}

func (b *bugs) ignores(in election.Input) bool { return b.deaf != nil && b.deaf(in) }

func (b *bugs) receives(l *life, m *election.Message) {
	if b.reads != nil {
		b.reads(l, m)
	}
}

func (b *bugs) saves(old, rec election.Record) election.Record {
	if b.writes == nil {
		return rec
	}
	return b.writes(old, rec)
}

func (b *bugs) publishes(l *life, lease election.Lease) election.Lease {
	if b.posts == nil {
		return lease
	}
	return b.posts(l, lease)
}

func (b *bugs) sends(l *life, m *election.Message) {
	if b.says != nil {
		b.says(l, m)
	}
}

// learns gives when readers are told.
func (b *bugs) learns(l *life, e check.Event) time.Duration {
	if e.Kind == check.Retracted && b.lag > 0 {
		return max(l.busyUntil, l.sim.now+b.lag)
	}
	return l.busyUntil
}
