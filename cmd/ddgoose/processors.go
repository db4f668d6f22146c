package main

import (
	"runtime"
	"sync"
	"sync/atomic"

	"duckduckgoose/agent"
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

// startsPrograms reports whether an agent runs commands for checks or hooks. Go holds its
// processor until a program that it starts runs. On a busy machine that can take longer than
// a lease, so the agent needs more than one.
func startsPrograms(cfg *agent.Config, hooks int) bool {
	starts := hooks > 0 || cfg.Check.IsCommand()
	for _, check := range cfg.Checks {
		starts = starts || check.IsCommand()
	}
	return starts
}
