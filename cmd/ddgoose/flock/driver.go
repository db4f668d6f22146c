package flock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// Info describes a running driver and its flock: GET /v1/flock.
type Info struct {
	PID       int         `json:"pid"`
	Dir       string      `json:"dir"`
	Partition string      `json:"partition"` // the shape in force; "": none
	Netem     string      `json:"netem"`     // the rules in force on all; "": none
	Agents    []AgentInfo `json:"agents"`
}

// AgentInfo is one agent's process.
type AgentInfo struct {
	Name   string `json:"name"`
	Addr   string `json:"addr"`
	Socket string `json:"socket"`
	Log    string `json:"log"`
	PID    int    `json:"pid"` // 0: it does not run
}

// PartitionRequest is the body of PUT /v1/partition.
type PartitionRequest struct {
	Shape string `json:"shape"`
}

// NameRequest is the body of POST /v1/kill and /v1/start.
type NameRequest struct {
	Name string `json:"name"`
}

// NetemRequest is the body of PUT /v1/netem.
type NetemRequest struct {
	Rules string `json:"rules"`
}

// Driver commands a running driver over its socket.
type Driver struct {
	dir  string
	http *http.Transport
}

// Connect makes a Driver for the flock in a folder. It does not connect yet.
func Connect(dir string) *Driver {
	d := &Driver{dir: dir}
	d.http = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, client.DriverSocket))
	}}
	return d
}

// ErrNoFlock says that no driver answers in a folder.
var ErrNoFlock = errors.New("no flock runs")

// Info returns what runs.
func (d *Driver) Info(ctx context.Context) (Info, error) {
	var i Info
	err := d.call(ctx, http.MethodGet, "/v1/flock", nil, &i)
	return i, err
}

// Stop stops all agents and the driver, and returns when they have ended.
func (d *Driver) Stop(ctx context.Context) error {
	if err := d.call(ctx, http.MethodDelete, "/v1/flock", nil, nil); err != nil {
		return err
	}
	return driverEnded(ctx, d.dir)
}

// Partition replaces the partition.
func (d *Driver) Partition(ctx context.Context, shape string) error {
	return d.call(ctx, http.MethodPut, "/v1/partition", PartitionRequest{shape}, nil)
}

// Heal ends the partition.
func (d *Driver) Heal(ctx context.Context) error {
	return d.call(ctx, http.MethodDelete, "/v1/partition", nil, nil)
}

// Kill kills an agent, which stays dead until Start.
func (d *Driver) Kill(ctx context.Context, name string) error {
	return d.call(ctx, http.MethodPost, "/v1/kill", NameRequest{name}, nil)
}

// Start starts an agent.
func (d *Driver) Start(ctx context.Context, name string) error {
	return d.call(ctx, http.MethodPost, "/v1/start", NameRequest{name}, nil)
}

// Netem replaces the fault rules of all agents; "" clears them.
func (d *Driver) Netem(ctx context.Context, rules string) error {
	return d.call(ctx, http.MethodPut, "/v1/netem", NetemRequest{rules}, nil)
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

func (d *Driver) call(ctx context.Context, method, path string, in, out any) error {
	if err := api.CheckSocketPath(filepath.Join(d.dir, client.DriverSocket)); err != nil {
		return err
	}
	body := []byte{}
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://flock"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	resp, err := d.http.RoundTrip(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w in %s", ErrNoFlock, d.dir)
	case ctx.Err() != nil:
		return fmt.Errorf("the flock's driver in %s has not answered: %w", d.dir, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("ask the flock's driver in %s: %w", d.dir, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the driver's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		var told api.Error
		if json.Unmarshal(text, &told) != nil || told.Error == "" {
			return fmt.Errorf("what answers in %s with status %d is no flock's driver", d.dir, resp.StatusCode)
		}
		return api.FromCode(resp.StatusCode, told)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the driver's answer: %w", err)
	}
	return nil
}
