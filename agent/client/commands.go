package client

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"duckduckgoose/agent/api"
)

// Election returns a client of the same agent for the election of this name: its Status,
// Watch, Why, Lead, Hold, StepDown, Mark, Advance, and Probe of a goose or a duck. Its other methods
// are about the agent or the flock, as before. "" is the default election. Every call
// fails with api.ErrNotFound if the flock has no election of this name.
func (c *Client) Election(name string) *Client {
	e := *c
	e.election = name
	return &e
}

// path is where the agent answers about c's election: path is /status or the like.
func (c *Client) path(path string) string {
	if c.election == "" {
		return "/v1" + path
	}
	return "/v1/elections/" + url.PathEscape(c.election) + path
}

// Elections lists the flock's elections as the agent knows them, the default
// one first, the others by name.
func (c *Client) Elections(ctx context.Context) ([]api.ElectionInfo, error) {
	out, err := fetch[api.Elections](ctx, c, http.MethodGet, "/v1/elections", nil)
	return out.Elections, err
}

// Status returns what the agent knows, judged at the moment of its answer.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return fetch[api.Status](ctx, c, http.MethodGet, c.path("/status"), nil)
}

// History returns the goose periods that the agent knows, newest first.
func (c *Client) History(ctx context.Context) (api.History, error) {
	return fetch[api.History](ctx, c, http.MethodGet, c.path("/history"), nil)
}

// Mark returns the election's mark as the agent has saved it (rule 29). Only the goose
// knows whether it is committed.
func (c *Client) Mark(ctx context.Context) (api.Mark, error) {
	return fetch[api.Mark](ctx, c, http.MethodGet, c.path("/mark"), nil)
}

// Advance raises the mark of the election if the agent is its goose, and returns once
// that is committed. An error of [api.CodeMarkTaken] says that the mark already has this value or a higher
// one; after any other error, the mark may or may not be raised.
func (c *Client) Advance(ctx context.Context, in api.MarkRequest) (api.Mark, error) {
	return fetch[api.Mark](ctx, c, http.MethodPost, c.path("/mark"), in)
}

// Members lists the agents of the flock.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	out, err := fetch[api.Members](ctx, c, http.MethodGet, "/v1/members", nil)
	return out.Members, err
}

// StepDown makes the agent hand over to the voter named to, or, if to is "", to the
// first in rank. It returns the new goose's name. A frozen flock refuses it.
func (c *Client) StepDown(ctx context.Context, to string) (goose string, err error) {
	return c.stepDown(ctx, api.StepDownRequest{To: to})
}

func (c *Client) stepDown(ctx context.Context, in api.StepDownRequest) (goose string, err error) {
	out, err := fetch[api.StepDownReply](ctx, c, http.MethodPost, c.path("/step-down"), in)
	return out.Goose, err
}

// Leave takes the agent out of the flock for good, and ends it. Without force the agent
// refuses if the flock would lose its majority.
func (c *Client) Leave(ctx context.Context, force bool) error {
	return c.call(ctx, http.MethodPost, "/v1/leave", api.LeaveRequest{Force: force}, nil)
}

// ForceLeave removes a voter that will never return.
func (c *Client) ForceLeave(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/v1/force-leave", api.ForceLeaveRequest{Name: name}, nil)
}

// Join makes the agent call more agents, and returns how many of addrs answered.
func (c *Client) Join(ctx context.Context, addrs []string) (int, error) {
	out, err := fetch[api.JoinReply](ctx, c, http.MethodPost, "/v1/join", api.JoinRequest{Addrs: addrs})
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
	return fetch[api.Netem](ctx, c, http.MethodGet, "/v1/netem", nil)
}

// SetNetem replaces the fault rules, for d (0: for ever), and returns the rules as text.
func (c *Client) SetNetem(ctx context.Context, rules string, d time.Duration) (api.Netem, error) {
	return fetch[api.Netem](ctx, c, http.MethodPut, "/v1/netem", api.NetemRequest{Rules: rules, For: text(d)})
}

// ClearNetem takes all fault rules away.
func (c *Client) ClearNetem(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/v1/netem", nil, nil)
}

// Doctor examines the whole flock: it measures all paths for d (0: 2 s).
func (c *Client) Doctor(ctx context.Context, d time.Duration) (api.Doctor, error) {
	return fetch[api.Doctor](ctx, c, http.MethodPost, "/v1/doctor", api.DoctorRequest{For: text(d)})
}

// Keys returns which agents have which keys.
func (c *Client) Keys(ctx context.Context) (api.Keys, error) {
	return fetch[api.Keys](ctx, c, http.MethodGet, "/v1/keys", nil)
}

// InstallKey gives every live agent a key of 32 bytes to open datagrams with.
func (c *Client) InstallKey(ctx context.Context, key []byte) (api.Keys, error) {
	return c.changeKeys(ctx, "install", api.KeyRequest{Key: base64.StdEncoding.EncodeToString(key)})
}

// UseKey makes every live agent seal with the key of this id. It is refused unless all
// of them have it.
func (c *Client) UseKey(ctx context.Context, id string) (api.Keys, error) {
	return c.changeKeys(ctx, "use", api.KeyRequest{KeyID: id})
}

// RemoveKey takes a key away from every live agent. It is refused while an agent still
// seals with it.
func (c *Client) RemoveKey(ctx context.Context, id string) (api.Keys, error) {
	return c.changeKeys(ctx, "remove", api.KeyRequest{KeyID: id})
}

func (c *Client) changeKeys(ctx context.Context, what string, in api.KeyRequest) (api.Keys, error) {
	return fetch[api.Keys](ctx, c, http.MethodPost, "/v1/keys/"+what, in)
}

// Freeze blocks planned changes of the flock's goose for d; failover still works. 0
// stands for [api.DefaultFreeze]. It returns which agents were reached.
func (c *Client) Freeze(ctx context.Context, d time.Duration) (api.Freeze, error) {
	return fetch[api.Freeze](ctx, c, http.MethodPost, "/v1/freeze", api.FreezeRequest{For: text(d)})
}

// Thaw ends a freeze.
func (c *Client) Thaw(ctx context.Context) (api.Freeze, error) {
	return fetch[api.Freeze](ctx, c, http.MethodPost, "/v1/thaw", nil)
}

// ForceStepDown is StepDown, even if the flock is frozen.
func (c *Client) ForceStepDown(ctx context.Context, to string) (goose string, err error) {
	return c.stepDown(ctx, api.StepDownRequest{To: to, Force: true})
}

// Why explains the agent's role and, if it knows no goose, why there is none. It takes
// up to two seconds if other agents do not answer.
func (c *Client) Why(ctx context.Context) (api.Why, error) {
	return fetch[api.Why](ctx, c, http.MethodGet, c.path("/why"), nil)
}

// text writes a duration for a request; 0: "".
func text(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
