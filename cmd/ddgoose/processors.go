package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// processors chooses on how many processors an agent runs: on one while it is calm. With
// more, Go wakes a second thread for whatever wakes the agent, to look for further work. That
// takes a fifth of all the CPU of an idle agent.
type processors struct {
	busy atomic.Bool
	set  sync.Mutex
}

// follow is [agent.Config]'s Busy. It does not wait, as Go does, for the end of a garbage
// collection.
func (p *processors) follow(busy bool) {
	p.busy.Store(busy)
	go func() {
		p.set.Lock()
		defer p.set.Unlock()
		if p.busy.Load() {
			runtime.SetDefaultGOMAXPROCS()
		} else {
			runtime.GOMAXPROCS(1)
		}
	}()
}
