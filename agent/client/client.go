package client

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
	"strings"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
)

// ErrNotRunning: no agent answers at the socket, or it ended before it answered.
var ErrNotRunning = errors.New("no agent answers")

const (
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 16 << 20
	// firstRetry and lastRetry space the attempts to reach an agent.
	firstRetry = 20 * time.Millisecond
	lastRetry  = 500 * time.Millisecond
)

// Client talks to one agent. Its methods are safe for concurrent use. Each call makes
// its own connection, so there is nothing to close.
type Client struct {
	// Wait is how long a call keeps trying while no agent answers, for an agent that was
	// just started. 0: fail at once.
	Wait time.Duration

	socket   string
	election string                                                               // "": the default one
	connect  func(ctx context.Context, network, address string) (net.Conn, error) // net.Dialer's
	http     *http.Transport
}

// New makes a client for the agent at this socket. It does not connect yet.
func New(socket string) *Client {
	c := &Client{socket: socket, connect: new(net.Dialer).DialContext}
	c.http = &http.Transport{
		DialContext:        c.dial,
		DisableKeepAlives:  true, // a kept connection is dead when the agent was restarted
		DisableCompression: true,
	}
	return c
}

// Socket is the path of the agent's socket.
func (c *Client) Socket() string { return c.socket }

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := api.CheckSocketPath(c.socket); err != nil {
		return nil, &undialled{err}
	}
	conn, err := c.connect(ctx, "unix", c.socket)
	switch {
	case err == nil:
		ended, _ := ctx.Value(endKey{}).(func(error))
		return &answering{Conn: conn, gone: c.gone(), ended: ended}, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, &unreachable{absent: true, text: fmt.Sprintf("no agent answers at %s: is it running? start one with ddgoose agent", c.socket)}
	case errors.Is(err, syscall.EAGAIN): // its queue is full
		return nil, &unreachable{text: fmt.Sprintf("the agent at %s takes no more connections: it may hang", c.socket)}
	case errors.Is(err, fs.ErrPermission):
		return nil, &undialled{fmt.Errorf("socket %s: %w: use sudo, or run this as the agent's user, or start the agent with another --socket-mode", c.socket, fs.ErrPermission)}
	}
	return nil, &undialled{err}
}

// answering is a connection on which an end before the first byte of an answer means
// that the agent is gone. Package http reports an end before the request was sent by an
// error of its own, which errors.Is cannot match.
type answering struct {
	net.Conn
	gone  error
	ended func(error) // called when no more can be read; may be nil
	heard bool        // only the transport's one reader touches it
}

// endKey is the key of a request's context to a function that is called when its
// connection has ended.
type endKey struct{}

func (c *answering) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.heard = c.heard || n > 0
	if err == io.EOF && !c.heard {
		err = c.gone
	}
	if err != nil && c.ended != nil {
		c.ended(err)
	}
	return n, err
}

// undialled is an error of the dial that says nothing about an agent.
type undialled struct{ error }

func (e *undialled) Unwrap() error { return e.error }

// unreachable is an ErrNotRunning with a text for people.
type unreachable struct {
	text     string
	answered bool // something was listening
	absent   bool // nothing is
}

func (e *unreachable) Error() string        { return e.text }
func (e *unreachable) Is(target error) bool { return target == ErrNotRunning }

// broken explains a connection error: one of ours, the context's, an agent that ended,
// or a program that is not an agent.
func (c *Client) broken(ctx context.Context, err error) error {
	var notRunning *unreachable
	var notDialled *undialled
	var net *net.OpError
	switch {
	case errors.As(err, &notRunning):
		return notRunning
	case ctx.Err() != nil:
		return fmt.Errorf("the agent at %s has not answered: %w", c.socket, context.Cause(ctx))
	case errors.As(err, &notDialled):
		return notDialled.error
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &net),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return c.gone()
	}
	return c.noAgent(err)
}

func (c *Client) noAgent(err error) error {
	return fmt.Errorf("the program that answers at %s is not a ddgoose agent: %w", c.socket, err)
}

func (c *Client) gone() error {
	return &unreachable{text: fmt.Sprintf("the agent at %s has gone away", c.socket), answered: true}
}

// open sends a request and gives the answer when it is a success.
func (c *Client) open(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	resp, err := c.send(ctx, method, path, body)
	if err != nil || resp.StatusCode/100 == 2 {
		return resp, err
	}
	text, err := c.read(ctx, resp)
	if err != nil {
		return nil, err
	}
	var told api.Error
	if json.Unmarshal(text, &told) != nil || told.Error == "" {
		return nil, fmt.Errorf("the program that answers at %s with status %d is not a ddgoose agent: %.80q", c.socket, resp.StatusCode, strings.TrimSpace(string(text)))
	}
	return nil, api.FromCode(resp.StatusCode, told)
}

// send sends a request and gives the answer, whatever its status.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	resp, err := c.http.RoundTrip(req)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	return resp, nil
}

// read reads a whole answer, and closes it.
func (c *Client) read(ctx context.Context, resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.broken(ctx, err)
	case len(text) > maxAnswer:
		return nil, c.noAgent(fmt.Errorf("an answer of more than %d bytes", maxAnswer))
	}
	return text, nil
}

// fetch is call for an answer of type T.
func fetch[T any](ctx context.Context, c *Client, method, path string, in any) (out T, err error) {
	err = c.call(ctx, method, path, in, &out)
	return out, err
}

// call makes one request and reads its answer. in and out may be nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
	}
	return c.retry(ctx, func() error {
		resp, err := c.open(ctx, method, path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		if out == nil {
			_ = resp.Body.Close() // the body has nothing of interest
			return nil
		}
		text, err := c.read(ctx, resp)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, out); err != nil {
			return c.noAgent(err)
		}
		return nil
	})
}

// retry tries again for c.Wait while nothing listens, because then nothing was sent. A
// request that an agent may have read is never sent twice.
func (c *Client) retry(ctx context.Context, try func() error) error {
	until, pause := time.Now().Add(c.Wait), firstRetry
	for {
		err := try()
		var nobody *unreachable
		left := time.Until(until)
		if err == nil || !errors.As(err, &nobody) || nobody.answered || left <= 0 {
			return err
		}
		if !sleep(ctx, min(pause, left)) {
			return err
		}
		pause = min(2*pause, lastRetry)
	}
}

// sleep waits for d, and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
