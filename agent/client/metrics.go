package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Metrics gives the agent's metrics as Prometheus text.
func (c *Client) Metrics(ctx context.Context) (text []byte, err error) {
	err = c.retry(ctx, func() error {
		resp, err := c.open(ctx, http.MethodGet, "/metrics", nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if text, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
			return c.broken(ctx, err)
		}
		if len(text) > maxAnswer {
			return c.noAgent(fmt.Errorf("more than %d bytes of metrics", maxAnswer))
		}
		return nil
	})
	return text, err
}
