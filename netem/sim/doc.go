// Package sim runs many agents under one virtual clock. Each is a
// [duckduckgoose/agent/member.Member], the code that ships, and a host with a
// seeded network, a model of gossip, clocks that run at their own rates, and a
// disk that forgets what was not synced. The same settings give the same run,
// byte for byte.
//
// host.go and holders.go carry out the effects of a member, life.go is its loop, and
// crash.go ends it after any effect. Package schedule plans what happens to the agents;
// verbs.go, faults.go and commands.go do it. Package check checks each election.
package sim
