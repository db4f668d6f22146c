package client

import (
	"context"
	"net/http"
	"net/url"

	"duckduckgoose/agent/api"
)

// Election gives a client of the same agent whose Status, Watch, Lead, Hold,
// StepDown and Probe of a goose or a duck are about the election of this name;
// its other methods are about the agent or the flock, as c's are. "" is the
// default election. A name that the flock does not have is api.ErrNotFound at
// each call.
func (c *Client) Election(name string) *Client {
	e := *c
	e.election = name
	return &e
}

// Elections lists the flock's elections as the agent knows them, the default
// one first, the others by name.
func (c *Client) Elections(ctx context.Context) ([]api.ElectionInfo, error) {
	var out api.Elections
	err := c.call(ctx, http.MethodGet, "/v1/elections", nil, &out)
	return out.Elections, err
}

// path is where the agent answers about c's election: path is /status or the like.
func (c *Client) path(path string) string {
	if c.election == "" {
		return "/v1" + path
	}
	return "/v1/elections/" + url.PathEscape(c.election) + path
}

// probePath is where the agent answers a probe.
func (c *Client) probePath(question string) string {
	if c.election == "" || question != ProbeGoose && question != ProbeDuck {
		return "/" + question
	}
	return "/" + question + "?" + url.Values{api.ElectionQuery: {c.election}}.Encode()
}
