package client

import (
	"context"
	"net/http"
	"time"

	"duckduckgoose/agent/api"
)

// Status tells what the agent knows, judged at the moment of its answer.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	var s api.Status
	err := c.call(ctx, http.MethodGet, c.path("/status"), nil, &s)
	return s, err
}

// Members lists the agents of the flock.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	var ms api.Members
	err := c.call(ctx, http.MethodGet, "/v1/members", nil, &ms)
	return ms.Members, err
}

// StepDown makes the agent hand over, to the voter named to or, when that is "",
// to the one that ranks first. It returns the new goose's name. A frozen flock
// refuses it.
func (c *Client) StepDown(ctx context.Context, to string) (goose string, err error) {
	return c.stepDown(ctx, api.StepDownRequest{To: to})
}

func (c *Client) stepDown(ctx context.Context, in api.StepDownRequest) (goose string, err error) {
	var out api.StepDownReply
	err = c.call(ctx, http.MethodPost, c.path("/step-down"), in, &out)
	return out.Goose, err
}

// Leave takes the agent out of the flock for good, and ends it. Without force it
// refuses what would cost the flock its majority.
func (c *Client) Leave(ctx context.Context, force bool) error {
	return c.call(ctx, http.MethodPost, "/v1/leave", api.LeaveRequest{Force: force}, nil)
}

// ForceLeave removes a voter that will never return.
func (c *Client) ForceLeave(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/v1/force-leave", api.ForceLeaveRequest{Name: name}, nil)
}

// Join makes the agent join more agents, and tells how many of addrs answered.
func (c *Client) Join(ctx context.Context, addrs []string) (int, error) {
	var out api.JoinReply
	err := c.call(ctx, http.MethodPost, "/v1/join", api.JoinRequest{Addrs: addrs}, &out)
	return out.Joined, err
}

// Die simulates the agent's death for d; 0: until Revive.
func (c *Client) Die(ctx context.Context, d time.Duration) error {
	return c.call(ctx, http.MethodPost, "/v1/simulate/death", api.DeathRequest{For: text(d)}, nil)
}

// Revive ends a simulated death.
func (c *Client) Revive(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/simulate/revive", nil, nil)
}

// Netem shows the fault rules in force.
func (c *Client) Netem(ctx context.Context) (api.Netem, error) {
	var n api.Netem
	err := c.call(ctx, http.MethodGet, "/v1/netem", nil, &n)
	return n, err
}

// SetNetem replaces the fault rules, for d (0: for ever), and gives them as they print.
func (c *Client) SetNetem(ctx context.Context, rules string, d time.Duration) (api.Netem, error) {
	var n api.Netem
	err := c.call(ctx, http.MethodPut, "/v1/netem", api.NetemRequest{Rules: rules, For: text(d)}, &n)
	return n, err
}

// ClearNetem takes all fault rules away.
func (c *Client) ClearNetem(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/v1/netem", nil, nil)
}

// text writes a duration as requests have it; 0 is left out.
func text(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
