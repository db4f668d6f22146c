package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"

	"duckduckgoose/agent/api"
)

// Watch yields the agent's status at once, and again after each change; a slow reader
// skips to the latest. If the agent ends, the last item is an ErrNotRunning; if ctx
// ends, there is none.
func (c *Client) Watch(ctx context.Context) iter.Seq2[api.Status, error] {
	return func(yield func(api.Status, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var resp *http.Response
		err := c.retry(ctx, func() (err error) {
			resp, err = c.open(ctx, http.MethodGet, c.path("/watch"), nil)
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				yield(api.Status{}, err)
			}
			return
		}
		defer resp.Body.Close()
		lines := json.NewDecoder(resp.Body)
		for {
			var s api.Status
			err := lines.Decode(&s)
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, io.EOF):
				yield(api.Status{}, c.gone())
				return
			case err != nil:
				yield(api.Status{}, c.broken(ctx, err))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}
