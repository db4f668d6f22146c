package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestReadsGiveWhatTheAgentKnows(t *testing.T) {
	a, c := running(t)
	s, err := c.Status(timely(t))
	require.NoError(t, err)
	require.Equal(t, apitest.Status(), s)

	a.Change(func(s *api.Status) { s.Goose = nil })
	s, err = c.Status(timely(t))
	require.NoError(t, err)
	require.Nil(t, s.Goose)

	ms, err := c.Members(timely(t))
	require.NoError(t, err)
	require.Equal(t, apitest.Members(), ms)
	a.SetMembers(nil)
	ms, err = c.Members(timely(t))
	require.NoError(t, err)
	require.Empty(t, ms)
}

func TestCommandsReachTheAgent(t *testing.T) {
	a, c := running(t)
	ctx := timely(t)
	for _, to := range []string{"", "c"} {
		goose, err := c.StepDown(ctx, to)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"": "b", "c": "c"}[to], goose)
	}
	goose, err := c.ForceStepDown(ctx, "c")
	require.NoError(t, err)
	require.Equal(t, "c", goose)
	frozen, err := c.Freeze(ctx, 30*time.Minute)
	require.NoError(t, err)
	require.Equal(t, api.Freeze{Remaining: 1800, Reached: []string{"a"}, Unreached: []api.Unreached{{Name: "b", Error: "it is dead or cut off"}}}, frozen)
	_, err = c.Freeze(ctx, 0)
	require.NoError(t, err)
	frozen, err = c.Thaw(ctx)
	require.NoError(t, err)
	require.Equal(t, api.Freeze{Reached: []string{"a", "b"}, Unreached: []api.Unreached{}}, frozen)
	require.NoError(t, c.Leave(ctx, false))
	require.NoError(t, c.Leave(ctx, true))
	require.NoError(t, c.ForceLeave(ctx, "b"))
	n, err := c.Join(ctx, []string{"10.0.0.1:3825", "b"})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, c.Die(ctx, 10*time.Second))
	require.NoError(t, c.Die(ctx, 0))
	require.NoError(t, c.Revive(ctx))
	left := 1.5
	netem, err := c.SetNetem(ctx, "*: cut", 1500*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, api.Netem{Rules: "*: cut", ExpiresIn: &left, Seed: 7}, netem)
	netem, err = c.SetNetem(ctx, "b: loss 10%", 0)
	require.NoError(t, err)
	require.Equal(t, api.Netem{Rules: "b: loss 10%", Seed: 7}, netem)
	netem, err = c.Netem(ctx)
	require.NoError(t, err)
	require.Equal(t, api.Netem{Rules: "b: loss 10%", Seed: 7}, netem)
	require.NoError(t, c.ClearNetem(ctx))
	found, err := c.Doctor(ctx, 5*time.Second)
	require.NoError(t, err)
	require.Equal(t, apitest.Doctor(), found)
	_, err = c.Doctor(ctx, 0)
	require.NoError(t, err)
	for _, do := range []func() (api.Keys, error){
		func() (api.Keys, error) { return c.Keys(ctx) },
		func() (api.Keys, error) { return c.InstallKey(ctx, make([]byte, 32)) },
		func() (api.Keys, error) { return c.UseKey(ctx, "9c0a41f2") },
		func() (api.Keys, error) { return c.RemoveKey(ctx, "9c0a41f2") },
	} {
		keys, err := do()
		require.NoError(t, err)
		require.Equal(t, apitest.Keys(), keys)
	}
	require.Equal(t, []string{
		`step down to ""`, `step down to "c"`, `step down to "c", though frozen`, "freeze for 30m0s", "freeze for 1h0m0s", "thaw", `leave, force false`, `leave, force true`, `force "b" to leave`,
		`join ["10.0.0.1:3825" "b"]`, `die for 10s`, `die for 0s`, `revive`,
		`netem "*: cut" for 1.5s`, `netem "b: loss 10%" for 0s`, `netem clear`,
		"doctor for 5s", "doctor for 2s", "keys", "install key 0000000000000000000000000000000000000000000000000000000000000000",
		"use key 9c0a41f2", "remove key 9c0a41f2",
	}, a.Heard())
}

// commands calls each method that may fail at the agent.
var commands = map[string]func(*Client, context.Context) error{
	"StepDown":   func(c *Client, ctx context.Context) error { _, err := c.StepDown(ctx, ""); return err },
	"Freeze":     func(c *Client, ctx context.Context) error { _, err := c.Freeze(ctx, 0); return err },
	"Thaw":       func(c *Client, ctx context.Context) error { _, err := c.Thaw(ctx); return err },
	"Leave":      func(c *Client, ctx context.Context) error { return c.Leave(ctx, false) },
	"ForceLeave": func(c *Client, ctx context.Context) error { return c.ForceLeave(ctx, "b") },
	"Join":       func(c *Client, ctx context.Context) error { _, err := c.Join(ctx, []string{"b"}); return err },
	"Doctor":     func(c *Client, ctx context.Context) error { _, err := c.Doctor(ctx, 0); return err },
	"Keys":       func(c *Client, ctx context.Context) error { _, err := c.Keys(ctx); return err },
	"UseKey":     func(c *Client, ctx context.Context) error { _, err := c.UseKey(ctx, "9c0a41f2"); return err },
	"Die":        func(c *Client, ctx context.Context) error { return c.Die(ctx, 0) },
	"Revive":     func(c *Client, ctx context.Context) error { return c.Revive(ctx) },
	"Lead":       func(c *Client, ctx context.Context) error { return c.Lead(ctx, nil) },
}

func TestErrorsComeBackAsTheAgentMadeThem(t *testing.T) {
	a, c := running(t)
	for _, want := range []error{
		api.Input("bad name"), api.Forbidden("not you"), api.NotFound("none such"), api.Conflict("b is the goose, at 127.0.0.1:3826"),
		&api.Failure{Kind: api.ErrNoMajority, Text: "2 of 3 voters do not answer"}, api.Timeout("nobody took over"), errors.New("disk full"),
	} {
		a.Fail(want)
		kind := errors.Unwrap(want)
		if kind == nil {
			kind = api.ErrInternal
		}
		for name, call := range commands {
			err := call(c, timely(t))
			require.ErrorIs(t, err, kind, name)
			require.EqualError(t, err, want.Error(), name)
			require.NotErrorIs(t, err, ErrNotRunning)
		}
	}
	_, err := c.SetNetem(timely(t), "cut", 0)
	require.ErrorIs(t, err, api.ErrInput)
	require.EqualError(t, err, "rule cut: want PEER: FAULT")
	a.RemoveFaults()
	_, err = c.Netem(timely(t))
	require.ErrorIs(t, err, api.ErrNotFound)
}

func TestBadArgumentsAreTheAgentsToRefuse(t *testing.T) {
	a, c := running(t)
	require.ErrorIs(t, c.ForceLeave(timely(t), ""), api.ErrInput)
	_, err := c.Join(timely(t), nil)
	require.ErrorIs(t, err, api.ErrInput)
	require.ErrorIs(t, c.Die(timely(t), -time.Second), api.ErrInput)
	require.Empty(t, a.Heard())
}

func TestCallEndsWithItsContext(t *testing.T) {
	a, c := running(t)
	a.Hang()
	ctx, cancel := context.WithCancel(timely(t))
	ended := make(chan error, 1)
	go func() { ended <- c.Leave(ctx, false) }()
	require.Eventually(t, func() bool { return a.Hanging() == 1 }, soon, time.Millisecond)
	cancel()
	err := next(t, ended)
	require.ErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, fmt.Sprintf("the agent at %s has not answered: context canceled", c.Socket()))
	require.NotErrorIs(t, err, ErrNotRunning)
	require.Eventually(t, func() bool { return a.Hanging() == 0 }, soon, time.Millisecond, "and the agent hears of it")
}
