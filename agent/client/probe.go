package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"duckduckgoose/agent/api"
)

// The questions that [Client.Probe] can ask.
const (
	ProbeGoose  = "goose"   // inside its lease
	ProbeDuck   = "duck"    // one that knows a live goose
	ProbeHealth = "healthz" // alive, and its loop runs
	ProbeReady  = "readyz"  // it knows a live goose
)

// Probe asks as a load balancer does. The answer's Error is empty for a yes (200); for a
// no (503) it says why.
func (c *Client) Probe(ctx context.Context, question string) (api.Probe, error) {
	var p api.Probe
	err := c.retry(ctx, func() error {
		resp, err := c.send(ctx, http.MethodGet, c.probePath(question), nil)
		if err != nil {
			return err
		}
		text, err := c.read(ctx, resp)
		if err != nil {
			return err
		}
		p = api.Probe{}
		if err := json.Unmarshal(text, &p); err != nil {
			return c.noAgent(err)
		}
		switch yes := resp.StatusCode == http.StatusOK; {
		case !yes && resp.StatusCode != http.StatusServiceUnavailable:
			told := api.Error{Error: p.Error}
			_ = json.Unmarshal(text, &told) // it was an object just now
			return api.FromCode(resp.StatusCode, told)
		case p.Role == "":
			return c.noAgent(errors.New("its answer has no role"))
		case yes != (p.Error == ""):
			return c.noAgent(fmt.Errorf("its status is %d, and its error %q", resp.StatusCode, p.Error))
		}
		return nil
	})
	return p, err
}

// probePath is where the agent answers a probe.
func (c *Client) probePath(question string) string {
	if c.election == "" || question != ProbeGoose && question != ProbeDuck {
		return "/" + question
	}
	return "/" + question + "?" + url.Values{api.ElectionQuery: {c.election}}.Encode()
}

// Metrics returns the agent's metrics as Prometheus text.
func (c *Client) Metrics(ctx context.Context) (text []byte, err error) {
	err = c.retry(ctx, func() error {
		resp, err := c.open(ctx, http.MethodGet, "/metrics", nil)
		if err == nil {
			text, err = c.read(ctx, resp)
		}
		return err
	})
	return text, err
}
