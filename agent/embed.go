package agent

import (
	"duckduckgoose/agent/api"
	"duckduckgoose/agent/config"
	"duckduckgoose/agent/lead"
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
	// Lease is what work for the goose acts by: see [lead.Lease].
	Lease = lead.Lease
)

// Why the context of work has ended, by context.Cause.
var (
	ErrLeaseLost   = lead.ErrLeaseLost
	ErrSteppedDown = lead.ErrSteppedDown
	ErrStopped     = lead.ErrStopped
)

// ErrNotGoose says that Lead gave up waiting, because of [lead.Try].
var ErrNotGoose = lead.ErrNotGoose
