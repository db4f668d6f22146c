// Package member is one agent between two I/Os: everything that follows from
// what the agent receives, and the order in which it acts.
//
// It has no goroutine, clock, socket, lock, log or file. A [Host] gives it
// inputs and carries out its effects: package agent with real sockets and
// disks, package netem/sim with simulated ones. What ships is what is simulated.
//
//	m := member.New(settings, host, state)
//	if err := m.Begin(); err != nil { ... }
//	for {
//		// take inputs: Receive, ChangePeers, or a command such as StepDown
//		done, err := m.Turn(now) // judges timeouts, then carries out the effects
//		// sleep until m.WakeAt(0), or until the next input
//	}
//
// Every input must be followed by a Turn before the caller sleeps: inputs only
// collect effects, and Turn carries them out once, in the order of effects.go.
//
// # Words
//
// A Member is this agent. An [Election] is its part in one election: the
// default one has number 0, the others come from the flock's table of elections.
// [Local] is the programs on this machine that follow an election: readers of
// its state, and holders, who act by its lease.
package member
