package apitest

import (
	"context"

	"duckduckgoose/agent/api"
)

// Why notes that it was asked, and answers with [Why].
func (a *Agent) Why(ctx context.Context) (api.Why, error) { return Why(), a.command(ctx, "why") }

// Why is what the agent explains: that it has lost its majority.
func Why() api.Why {
	heard, promised := 12000., 320.
	return api.Why{
		Name: "a", Role: api.RoleDuck, Term: 7, Summary: "there is no goose: 1 of 3 voters can be reached, and 2 are needed",
		Reasons: []api.WhyReason{
			{Kind: api.WhyNoMajority, Text: "b cannot be reached", Remedy: "start b again"},
			{Kind: api.WhyPromised, Text: "this agent has promised b to elect nobody else for 320ms more"},
		},
		Needed: 2, Reachable: 1,
		Voters: []api.WhyVoter{
			{Name: "a", ID: "9f000000000000000000000000000000", Addr: "127.0.0.1:3825", Priority: 100, State: api.StateAlive, Counts: true, Promised: &promised, PromisedTo: "b"},
			{Name: "b", ID: "a0000000000000000000000000000000", Addr: "127.0.0.1:3826", Priority: 100, State: api.StateFailed, Heard: &heard},
			{Name: "c", ID: "b0000000000000000000000000000000", Addr: "127.0.0.1:3827", State: api.StateFailed},
		},
	}
}
