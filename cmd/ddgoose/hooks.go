package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"duckduckgoose/agent/hooks"
)

const (
	// shell runs the hooks.
	shell = "/bin/sh"
	// hookKillWait bounds how long an immediate stop waits for the hooks that it has killed.
	hookKillWait = time.Second
)

// runnable returns an error if this machine cannot run the configured hooks.
func (s *agentSettings) runnable() error {
	if len(s.hooks) == 0 {
		return nil
	}
	if _, err := os.Stat(shell); err != nil {
		return fmt.Errorf("--on: hooks need %s, which this machine does not have: %w", shell, err)
	}
	return nil
}

// agentHooks runs an agent's hooks, once it has any.
type agentHooks struct {
	runner *hooks.Runner
	agent  hooks.Source
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when all hooks have ended; nil: there were none
}

func newAgentHooks(s *agentSettings, socket string, log *slog.Logger) *agentHooks {
	if path, err := filepath.Abs(socket); err == nil { // a hook may change its directory
		socket = path
	}
	h := &agentHooks{runner: hooks.New(hooks.Options{
		Hooks: s.hooks, Timeout: s.hookTimeout, Socket: socket, Environ: os.Environ(), Log: log,
	})}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// follow makes the hooks' events those of an agent that begins to run.
func (h *agentHooks) follow(a hooks.Source, s *agentSettings) {
	h.agent = a
	h.set(s)
}

// set applies new hooks.
func (h *agentHooks) set(s *agentSettings) {
	h.runner.Set(s.hooks, s.hookTimeout)
	if len(s.hooks) == 0 || h.ended != nil {
		return // without hooks, the agent's events are not needed
	}
	h.ended = make(chan struct{})
	go func() {
		defer close(h.ended)
		h.runner.Run(h.ctx, h.agent)
	}()
}

// over returns a channel that is closed when the agent's hooks have ended, after the agent.
func (h *agentHooks) over() <-chan struct{} {
	if h.ended == nil {
		h.ended = make(chan struct{})
		close(h.ended)
	}
	return h.ended
}

// kill ends the hooks at once.
func (h *agentHooks) kill() {
	h.cancel()
	select {
	case <-h.over():
	case <-time.After(hookKillWait):
	}
}
