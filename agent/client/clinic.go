package client

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"duckduckgoose/agent/api"
)

// Doctor examines the whole flock: it measures all paths for d (0: 2 s).
func (c *Client) Doctor(ctx context.Context, d time.Duration) (api.Doctor, error) {
	var out api.Doctor
	err := c.call(ctx, http.MethodPost, "/v1/doctor", api.DoctorRequest{For: text(d)}, &out)
	return out, err
}

// Keys tells which agents hold which keys.
func (c *Client) Keys(ctx context.Context) (api.Keys, error) {
	var out api.Keys
	err := c.call(ctx, http.MethodGet, "/v1/keys", nil, &out)
	return out, err
}

// InstallKey gives every live agent a key of 32 bytes to open with.
func (c *Client) InstallKey(ctx context.Context, key []byte) (api.Keys, error) {
	return c.changeKeys(ctx, "install", api.KeyRequest{Key: base64.StdEncoding.EncodeToString(key)})
}

// UseKey makes every live agent seal with the key of this id. It is refused
// unless all of them hold it.
func (c *Client) UseKey(ctx context.Context, id string) (api.Keys, error) {
	return c.changeKeys(ctx, "use", api.KeyRequest{KeyID: id})
}

// RemoveKey takes a key away from every live agent. It is refused while any of
// them seals with it.
func (c *Client) RemoveKey(ctx context.Context, id string) (api.Keys, error) {
	return c.changeKeys(ctx, "remove", api.KeyRequest{KeyID: id})
}

func (c *Client) changeKeys(ctx context.Context, what string, in api.KeyRequest) (api.Keys, error) {
	var out api.Keys
	err := c.call(ctx, http.MethodPost, "/v1/keys/"+what, in, &out)
	return out, err
}
