package agent

import (
	"duckduckgoose/agent/api"
	"duckduckgoose/agent/config"
)

// What a program that embeds an agent gives it, and reads of it.
type (
	// Config is what an agent is started with.
	Config = config.Config
	// Transport is one agent's network.
	Transport = config.Transport
	// Faults is the network emulator as an agent sees it.
	Faults = config.Faults
	// Status is what an agent knows at one moment, judged at the moment of the call.
	Status = api.Status
)
