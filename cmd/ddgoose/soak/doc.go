// Package soak torments a flock of real processes on this machine, and checks
// every promise by what the agents say and hand out.
//
//	flock.Monitor ─ every status that an agent publishes ─┐
//	poll          ─ the goose is asked all the time       ├─> observer ─> sequence ─> netem/check
//	writers       ─ the deadlines that Lead was handed    ┘      │     in order of time
//	driver        ─ harms agents and the network by plan ─> world ┘ when a goose is due
//
// All clocks are one, CLOCK_BOOTTIME of this machine, so events of many
// processes can be put in order. What is known, and no more:
//
//   - An answer "goose, until U, this much remains" was true at the moment U minus
//     what remains. Until U it stays true unless the agent changes its mind,
//     which nobody has promised it will not. So an answer counts for its moment;
//     two answers of one agent, with the same seq and the second before the
//     first one's U, count for all the time between them.
//   - A deadline that Lead handed to a writer counts until it passes, or until
//     the writer has said, before it told the agent, that it acts no more; across
//     any death of the agent. A writer that is killed counts until the signal.
//   - Two such times of different tokens that overlap are two geese at one moment.
//
// The writers write to a journal behind agent/fence, and it is checked as well
// (history.go). A machine that stands still is noticed
// (stall.go), and no goose is owed for that time.
package soak
