package apitest

import "duckduckgoose/agent/api"

// Status is the contract's example: a goose of five.
func Status() api.Status {
	const id, flock = "9f000000000000000000000000000000", "c0000000000000000000000000000000"
	return api.Status{
		Seq: 41, Name: "a", ID: id, Addr: "127.0.0.1:3825", Flock: "default", FlockID: flock,
		Role: api.RoleGoose, Voter: true, Priority: 100,
		Term: 7, Token: 7, Goose: &api.Goose{Name: "a", ID: id, Addr: "127.0.0.1:3825", Term: 7},
		Lease:     api.Lease{Valid: true, RemainingMS: 455.2, UntilBoottimeNS: 123456789},
		Config:    api.Config{Term: 7, Version: 5, Voters: []api.Voter{{ID: id, Name: "a", Priority: 100}}},
		Heartbeat: 50, LeaseMS: 500, Alive: 5, Warnings: []string{"..."},
		Counters: map[string]uint64{"dropped_checksum": 0}, Uptime: 12.5, Version: "...",
	}
}

// Members are the goose of [Status], and a duck that has failed.
func Members() []api.Member {
	rtt := 0.25
	return []api.Member{
		{
			Name: "a", ID: "9f000000000000000000000000000000", Addr: "127.0.0.1:3825", State: api.StateAlive,
			Role: api.RoleGoose, Voter: true, Priority: 100, Tags: map[string]string{"zone": "x"}, RTTMS: &rtt,
		},
		{
			Name: "b", ID: "a0000000000000000000000000000000", Addr: "127.0.0.1:3826", State: api.StateFailed,
			Role: api.RoleDuck, Tags: map[string]string{},
		},
	}
}
