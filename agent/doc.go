// Package agent runs one agent of a flock: it finds the others by gossip, takes
// part in the elections, and tells local programs who is the goose.
//
// README.md beside this file shows the parts of an agent and how they work
// together; election/README.md has the numbered rules that comments cite.
//
// # Words
//
// One word per idea, in code, logs, JSON, CLI and README: agent, flock, goose
// (the leader), duck (any other live agent), candidate, voter, observer,
// witness (a voter of priority 0), term, vote, promise, lease, token,
// heartbeat, config (the set of voters), generation, holder (one that acts for
// the goose by a deadline it was handed).
//
// # Who may touch what
//
// One goroutine, the loop, owns the member, which decides. Commands reach it
// through a channel as functions to run there; readers get a snapshot.
// memberlist's callbacks run under its lock: they copy, enqueue and return.
//
// # Lives
//
// An [Agent] lives until Run returns. A life of it runs from a start, or a
// simulated revival, to a stop or a simulated death; the unix socket stays.
package agent
