package apitest

import "duckduckgoose/agent/api"

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
