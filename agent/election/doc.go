// Package election decides who is the goose: it holds every rule of votes,
// promises, leases, voters and transfers, as a pure state machine.
//
// A [Node] is a comparable value. It is told the time and one [Input] at a
// time, and answers with [Effects]: a record that must be durable, messages
// that may leave only after that, and a view of its role. It never reads a
// clock, draws chance from outside its own seed, locks, logs or iterates over
// a map, so the same inputs give the same run, byte for byte.
//
// The caller carries effects out in this order: publish what the view takes
// away, save the record, send, publish what the view grants. [ExampleNode] is that loop.
//
// The three rules of the game this grew from are still here:
//
//	R1  a node that has had no heartbeat for longer than its election timeout
//	    becomes a candidate
//	R2  a node that is asked for its vote by a worthy candidate takes itself
//	    out of the running and defers to it
//	R3  on a split vote the candidates stand down and the election begins anew
//
// Rules are cited by number in the code. README.md has them all, with their
// sources, and the files and tests that hold each.
package election
