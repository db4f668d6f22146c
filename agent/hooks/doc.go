// Package hooks runs a person's commands at what happens to an agent: it became
// the goose, it became a duck, another is the goose, a member came or went.
//
//	h := hooks.New(hooks.Options{Hooks: []hooks.Hook{{On: hooks.Goose, Command: "./take-over.sh"}}})
//	go agent.Run(ctx)
//	h.Run(kill, agent) // until the agent has ended and the hooks have
//
// Hooks are notices: they tell what was so a moment ago, bind nobody, and the
// goose waits for none of them. What must never run in two places at a time
// needs a holder: ddgoose run, or [duckduckgoose/agent.Agent.Lead].
//
// # What a hook may count on
//
// /bin/sh -c runs the command, in a process group of its own, with the event as
// JSON on stdin and in DDGOOSE_ variables ([Event]). Hooks of goose, duck and
// change run one at a time, in the order of the events, and those of one event
// in the order they were given; hooks of member do so in a lane of their own,
// so that a slow one does not hold up the others. A hook that takes longer than
// the time-out gets a SIGTERM with all of its group, and then a SIGKILL.
//
// While a hook runs, newer events replace older ones about the same thing:
// what waits is the latest word on the role, the latest on who is the goose,
// and the latest on each member, and tells how many it stands for ([Queue]).
//
// A hook first hears how things are: the role at the start, so that what a
// crash left behind can be cleared away, and every member met. The last event
// of an agent that stops as the goose is duck.
package hooks
