// Package soak injects faults into a flock of real processes on this machine, and checks
// every promise by what the agents answer and hand out.
//
//	flock.Monitor ─ every status that an agent publishes ─┐
//	poll          ─ the goose is asked all the time       ├─> observer ─> sequence ─> netem/check
//	writers       ─ the deadlines that Lead was handed    ┘      │     in order of time
//	driver        ─ harms agents and the network by plan ─> conditions: when a goose is due
//
// All times are CLOCK_BOOTTIME of this machine, so events of many processes can be
// put in order. These are the facts that the checker gets:
//
//   - An answer "goose until U, R remaining" was true at the moment U-R. It stays true
//     until U unless the agent changes its mind, which it may. So one answer counts
//     for its moment. Two answers of one agent with the same seq, the second before
//     the first one's U, count for the time between them.
//   - A deadline that Lead handed to a writer counts until it passes, even if the agent
//     dies. It ends early when the writer reports, before it tells the agent, that it
//     has stopped. A killed writer counts until the signal.
//   - If two such times of different tokens overlap, there were two geese at one moment.
//
// The writers write to a journal behind agent/fence, which is checked as well
// (history.go). No goose is due while the machine stalls (stall.go).
package soak
