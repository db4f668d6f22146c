package apitest

import "duckduckgoose/agent/api"

// Status is the contract's example: a goose of five.
func Status() api.Status {
	const id, flock = "9f000000000000000000000000000000", "c0000000000000000000000000000000"
	return api.Status{
		Seq: 41, Name: "a", ID: id, Addr: "127.0.0.1:3825", Flock: "default", FlockID: flock,
		Role: api.RoleGoose, Voter: true, Priority: 100,
		Term: 7, Token: 7, Since: new(api.Time(1_800_000_060_500)),
		Goose:     &api.Goose{Name: "a", ID: id, Addr: "127.0.0.1:3825", Term: 7, Tags: map[string]string{"zone": "x"}},
		Lease:     api.Lease{Valid: true, RemainingMS: 455.2, UntilBoottimeNS: 123456789},
		Config:    api.Config{Term: 7, Version: 5, Voters: []api.Voter{{ID: id, Name: "a", Priority: 100}}},
		Heartbeat: 50, LeaseMS: 500, Alive: 5, Warnings: []string{"..."},
		Holders: []api.WorkHolder{}, Counters: map[string]uint64{"dropped_checksum": 0}, Uptime: 12.5, Version: "...",
	}
}

// Members are the goose of [Status], and a duck that has failed.
func Members() []api.Member {
	rtt := 0.25
	return []api.Member{
		{
			Name: "a", ID: "9f000000000000000000000000000000", Addr: "127.0.0.1:3825", State: api.StateAlive,
			Role: api.RoleGoose, Voter: true, Priority: 100, Tags: map[string]string{"zone": "x"}, Version: "v1.2", RTTMS: &rtt,
		},
		{
			Name: "b", ID: "a0000000000000000000000000000000", Addr: "127.0.0.1:3826", State: api.StateFailed,
			Role: api.RoleDuck, Tags: map[string]string{},
		},
	}
}

// Doctor is what the agent finds: a flock in trouble.
func Doctor() api.Doctor {
	loss, rtt := 0.5, 0.25
	return api.Doctor{
		Verdict: api.VerdictTrouble, Summary: "trouble: 1 found", CanElect: api.Yes, Goose: "a",
		Findings: []api.Finding{{Kind: api.FindingTrouble, Text: "50% of the datagrams from a to b are lost", Remedy: "look at the network between them"}},
		Config:   api.Config{Term: 7, Version: 5, Voters: []api.Voter{{ID: "9f000000000000000000000000000000", Name: "a", Priority: 100}}},
		Deaths:   []api.Death{{Name: "a", ID: "9f000000000000000000000000000000", CanElect: api.No, Successors: []string{}}},
		Agents: []api.DoctorAgent{
			{Name: "a", ID: "9f000000000000000000000000000000", Addr: "127.0.0.1:3825", State: api.StateAlive, Voter: true, Answered: true, Role: api.RoleGoose},
			{Name: "b", ID: "a0000000000000000000000000000000", Addr: "127.0.0.1:3826", State: api.StateAlive, Error: "it does not answer"},
		},
		Paths: []api.Path{
			{From: "a", To: "b", Sent: 24, Loss: &loss, LargeLoss: &loss, RTTMS: &rtt, Stream: api.StreamOK},
			{From: "b", To: "a"},
		},
		Clocks:   []api.ClockPair{{A: "a", B: "b", Faster: 0.001, Unsure: 0.02}},
		Measured: 2000,
	}
}

// Keys is a ring in the middle of a rotation.
func Keys() api.Keys {
	return api.Keys{
		Keys: []api.Key{
			{ID: "9c0a41f2", Sealing: []string{"a"}, Holding: []string{"a"}, Missing: []string{}},
			{ID: "3f12ab00", Sealing: []string{}, Holding: []string{"a"}, Missing: []string{}},
		},
		Agents:   []api.KeyHolder{{Name: "a", ID: "9f000000000000000000000000000000", Keys: []string{"9c0a41f2", "3f12ab00"}, Kept: true}},
		Absent:   []api.KeyAbsent{{Name: "b", Addr: "127.0.0.1:3826", Sees: "refused, unless it holds key 9c0a41f2"}},
		Warnings: []string{},
	}
}

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

// History is that of two goose periods, b's and then a's.
func History() api.History {
	first, second := api.Time(1_800_000_000_000), api.Time(1_800_000_060_500)
	return api.History{
		Periods: []api.Period{
			{Token: 7, Name: "a", ID: Status().ID, From: second, Ended: api.EndedRunning},
			{Token: 6, Name: "b", ID: "b1", From: first, To: new(second - 500), Ended: api.EndedStepDown, Reason: "step-down asked for by root"},
		},
		Gaps: []api.Gap{{From: second - 500, To: &second}},
	}
}
