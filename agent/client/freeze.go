package client

import (
	"context"
	"net/http"
	"time"

	"duckduckgoose/agent/api"
)

// Freeze keeps the flock's goose, for d, from changing but on failure; 0 stands
// for [api.DefaultFreeze]. It tells which agents were reached.
func (c *Client) Freeze(ctx context.Context, d time.Duration) (api.Freeze, error) {
	var out api.Freeze
	err := c.call(ctx, http.MethodPost, "/v1/freeze", api.FreezeRequest{For: text(d)}, &out)
	return out, err
}

// Thaw ends a freeze.
func (c *Client) Thaw(ctx context.Context) (api.Freeze, error) {
	var out api.Freeze
	err := c.call(ctx, http.MethodPost, "/v1/thaw", nil, &out)
	return out, err
}

// ForceStepDown is StepDown although the flock is frozen.
func (c *Client) ForceStepDown(ctx context.Context, to string) (goose string, err error) {
	return c.stepDown(ctx, api.StepDownRequest{To: to, Force: true})
}
