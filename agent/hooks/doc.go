// Package hooks runs commands at events of an agent: it became the goose, it became a
// duck, another agent is the goose, a member came or went.
//
//	h := hooks.New(hooks.Options{Hooks: []hooks.Hook{{On: hooks.Goose, Command: "./take-over.sh"}}})
//	go agent.Run(ctx)
//	h.Run(kill, agent) // until the agent has ended and the hooks have
//
// Hooks only inform: they say what was true a moment ago, and the goose waits for none
// of them. Work that must never run in two places at a time needs a holder: ddgoose
// run, or [duckduckgoose/agent.Agent.Lead].
//
// # What a hook can rely on
//
// /bin/sh -c runs the command, in a process group of its own, with the event as
// JSON on stdin and in DDGOOSE_ variables ([Event]). Hooks of goose, duck and
// change run one at a time, in the order of the events, and those of one event in the
// order of the flags. Hooks of member have a queue of their own, so that slow ones do
// not delay the others. A hook that exceeds the time-out gets SIGTERM with its process
// group, and later SIGKILL.
//
// While a hook runs, newer events replace older ones about the same subject. The queue
// has at most one event about the role, one about the goose and one about each member;
// each says how many older ones it replaced ([Queue]).
//
// At the start hooks get the present state: the role, so that a hook can clean up after
// a crash, and every member. The last event of a goose that stops is duck.
package hooks
