// Package health checks at intervals whether the work beside an agent is well. An
// agent whose check fails hands over, and does not campaign (rule 28 of agent/election/README.md).
package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"duckduckgoose/agent/internal/shell"
)

// Check says how to check. The zero Check checks nothing.
type Check struct {
	// Ask is a command for /bin/sh (exit code 0: well), an http:// or https:// URL (200 to
	// 399 on a GET: well), or tcp://HOST:PORT (accepts a connection: well). "": no check.
	Ask      string
	Interval time.Duration // between two checks, default 2 s
	Timeout  time.Duration // of one check, default 1 s, at most Interval
	Rise     int           // passes in a row that make an unwell agent well, default 2
	Fall     int           // failures in a row that make a well agent unwell, default 3
}

// The defaults of a [Check].
const (
	DefaultInterval = 2 * time.Second
	DefaultTimeout  = time.Second
	DefaultRise     = 2
	DefaultFall     = 3
)

// Default fills in missing settings.
func (c Check) Default() Check {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout == 0 {
		c.Timeout = min(DefaultTimeout, c.Interval)
	}
	if c.Rise == 0 {
		c.Rise = DefaultRise
	}
	if c.Fall == 0 {
		c.Fall = DefaultFall
	}
	return c
}

const (
	minInterval = 100 * time.Millisecond
	maxInterval = time.Hour
	maxInRow    = 100
)

// Validate returns the errors of a check after Default.
func (c Check) Validate() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Interval < minInterval || c.Interval > maxInterval {
		bad("check-interval %v: want %v to %v", c.Interval, minInterval, maxInterval)
	}
	if c.Timeout < time.Millisecond || c.Timeout > c.Interval {
		bad("check-timeout %v: want 1ms to the check-interval, %v", c.Timeout, c.Interval)
	}
	if c.Rise < 1 || c.Rise > maxInRow {
		bad("check-rise %d: want 1 to %d", c.Rise, maxInRow)
	}
	if c.Fall < 1 || c.Fall > maxInRow {
		bad("check-fall %d: want 1 to %d", c.Fall, maxInRow)
	}
	scheme, rest, ok := strings.Cut(c.Ask, "://")
	switch u, err := url.Parse(c.Ask); {
	case !ok || strings.ContainsAny(scheme, " \t/"): // a command
		if strings.TrimSpace(c.Ask) == "" {
			bad("check %q: want a command, http://URL, https://URL or tcp://HOST:PORT", c.Ask)
		}
	case scheme == "tcp":
		if host, port, err := net.SplitHostPort(rest); err != nil || host == "" || port == "" {
			bad("check %q: want tcp://HOST:PORT, for example tcp://127.0.0.1:5432", c.Ask)
		}
	case scheme != "http" && scheme != "https":
		bad("check %q: want a command, http://URL, https://URL or tcp://HOST:PORT", c.Ask)
	case err != nil || u.Host == "":
		bad("check %q: want a URL with a host, for example http://127.0.0.1:8080/health", c.Ask)
	}
	return errors.Join(faults...)
}

// Watch checks until ctx ends. It calls tell with the first result and at every change:
// nil when the work is well, else the reason. The first result counts at once; later
// ones follow Rise and Fall.
func (c Check) Watch(ctx context.Context, tell func(err error)) { c.watch(ctx, c.Once, tell) }

func (c Check) watch(ctx context.Context, ask func(context.Context) error, tell func(err error)) {
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	well, known, against := false, false, 0
	for {
		err := ask(ctx)
		if ctx.Err() != nil {
			return
		}
		need := c.Rise
		if well {
			need = c.Fall
		}
		if against++; known && well == (err == nil) {
			against = 0
		}
		if !known || against >= need {
			known, well, against = true, err == nil, 0
			tell(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Once checks one time. The error says why the work is not well.
func (c Check) Once(ctx context.Context) error {
	switch scheme, rest := c.target(); scheme {
	case "http", "https":
		return c.get(ctx)
	case "tcp":
		dialer := net.Dialer{Timeout: c.Timeout}
		conn, err := dialer.DialContext(ctx, "tcp", rest)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	_, err := shell.Run(ctx, c.Ask, c.Timeout)
	return err
}

// IsCommand reports whether the check starts a program.
func (c Check) IsCommand() bool {
	scheme, _ := c.target()
	return c.Ask != "" && scheme == ""
}

// target returns the scheme of the check's URL and what follows it; no scheme: a command.
func (c Check) target() (scheme, rest string) {
	switch scheme, rest, _ = strings.Cut(c.Ask, "://"); scheme {
	case "http", "https", "tcp":
		return scheme, rest
	}
	return "", ""
}

// get sends a GET. It verifies certificates. A redirect is an answer, and is not
// followed.
func (c Check) get(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Ask, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "ddgoose")
	transport := &http.Transport{DisableKeepAlives: true} // every check must make a new connection
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		if inner := new(url.Error); errors.As(err, &inner) && !inner.Timeout() {
			return inner.Err // without the URL, which may have a password in it
		}
		return fmt.Errorf("no answer within %v", c.Timeout)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<10) // only the status counts
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
