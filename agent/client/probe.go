package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"duckduckgoose/agent/api"
)

// The questions of a load balancer or a service manager, for [Client.Probe].
const (
	ProbeGoose  = "goose"   // inside its lease
	ProbeDuck   = "duck"    // one that knows a live goose
	ProbeHealth = "healthz" // not dead, and its loop turns
	ProbeReady  = "readyz"  // it knows a live goose
)

// Probe asks as a load balancer does. The answer's Error is empty for a yes
// (200), and says why not for a no (503).
func (c *Client) Probe(ctx context.Context, question string) (api.Probe, error) {
	var p api.Probe
	err := c.retry(ctx, func() error {
		resp, err := c.send(ctx, http.MethodGet, c.probePath(question), nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return c.broken(ctx, err)
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
			return c.noAgent(errors.New("it names no role"))
		case yes != (p.Error == ""):
			return c.noAgent(fmt.Errorf("its status is %d, and its error %q", resp.StatusCode, p.Error))
		}
		return nil
	})
	return p, err
}
