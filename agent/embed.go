package agent

import (
	"duckduckgoose/agent/api"
	"duckduckgoose/agent/config"
	"duckduckgoose/agent/lead"
)

// The types that a program needs to embed an agent.
type (
	// Config is the settings of an agent.
	Config = config.Config
	// Transport is one agent's network.
	Transport = config.Transport
	// Faults is the network emulator that an agent may have.
	Faults = config.Faults
	// Status is what an agent knows at the moment of the call.
	Status = api.Status
	// Lease is the token and deadline of work for the goose: see [lead.Lease].
	Lease = lead.Lease
)

// The causes, by context.Cause, of the end of a work's context.
var (
	ErrLeaseLost   = lead.ErrLeaseLost
	ErrSteppedDown = lead.ErrSteppedDown
	ErrStopped     = lead.ErrStopped
)

// ErrNotGoose says that Lead gave up waiting, because of [lead.Try].
var ErrNotGoose = lead.ErrNotGoose
