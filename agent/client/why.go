package client

import (
	"context"
	"net/http"

	"duckduckgoose/agent/api"
)

// Why has the agent explain its role, and why there is no goose where there is
// none. It takes up to about two seconds where other agents do not answer.
func (c *Client) Why(ctx context.Context) (api.Why, error) {
	var out api.Why
	err := c.call(ctx, http.MethodGet, "/v1/why", nil, &out)
	return out, err
}
