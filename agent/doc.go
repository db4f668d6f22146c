// Package agent runs one agent of a flock: it finds the others by gossip,
// takes part in the election, and tells local programs who is the goose.
//
// # Words
//
// One word per idea, in code, logs, JSON, CLI and README: agent, flock, goose
// (the leader), duck (any other live agent), candidate, voter, observer,
// witness (a voter of priority 0), term, vote, promise, lease, token,
// heartbeat, config (the set of voters), generation, holder (one that acts for
// the goose by a deadline it was handed).
//
// # The data's way
//
//	datagram -> agent/port     by its first byte: ours, or memberlist's
//	         -> inbox.go       open, decode, addressed to us? (bad or full: drop, count by reason)
//	         -> loop.go        one goroutine: election.Step(now, input) -> effects
//	         -> perform.go     0 publish what takes goose-ship away   1 save
//	                           2 send   3 publish what grants it, wake, count
//	         -> snapshot.go    readers judge the lease by their own moment
//	         -> holders.go     renewals and stops for whoever acts for the goose
//
// # Who may touch what
//
// The loop's goroutine owns the election, the addresses, the founder and the
// autopilot. Commands reach it through a channel as functions to run there;
// readers get the board of snapshot.go, which is atomic. memberlist's
// callbacks run under its lock: they copy, enqueue and return.
//
// # Lives
//
// An [Agent] lives until Run returns. A life of it runs from a start, or a
// simulated revival, to a stop or a simulated death; the unix socket stays.
package agent
