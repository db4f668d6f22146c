package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"duckduckgoose/agent"
	"duckduckgoose/agent/store"
)

// taken adds to an error about a name, port or folder that another agent uses: the full
// command of a second agent that uses others.
func (c *agentCommand) taken(err error, cfg agent.Config) error {
	line := c.layers.line
	var is *agent.TakenError
	switch {
	case errors.Is(err, store.ErrLocked) && len(cfg.Join) == 0 && cfg.Expect == 0 && anyPort(cfg.Bind) == cfg.Bind:
		return err // the second agent must join the first, whose port is not known
	case errors.Is(err, store.ErrLocked):
		line = beside(line, cfg)
	case !errors.As(err, &is):
		return err
	case is.Flag == "name":
		line = with(line, "name", cfg.Name+"-2")
	case is.Flag == "bind":
		line = moved(line, cfg)
	case is.Flag == "http":
		line = with(line, "http", anyPort(cfg.HTTP))
	default:
		return err
	}
	return fmt.Errorf("%w; a second agent on this machine: %s", err, pasteable("ddgoose agent", line))
}

// moved returns the command line of an agent on another port of this machine.
func moved(line map[string][]string, cfg agent.Config) map[string][]string {
	line = with(line, "bind", anyPort(cfg.Bind))
	if len(cfg.Join) == 0 && cfg.Expect == 0 {
		line = with(line, "join", reachable(cfg.Bind))
	}
	return line
}

// beside returns the command line of a further agent that shares nothing with the first.
func beside(line map[string][]string, cfg agent.Config) map[string][]string {
	line = moved(with(line, "name", cfg.Name+"-2"), cfg)
	if dir := line["data-dir"]; len(dir) > 0 {
		line = with(line, "data-dir", cfg.DataDir+"-2")
	}
	if len(line["socket"]) > 0 {
		line = with(line, "socket", strings.TrimSuffix(cfg.Socket, ".sock")+"-2.sock")
	}
	if cfg.HTTP != "" {
		line = with(line, "http", anyPort(cfg.HTTP))
	}
	return line
}

func anyPort(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return net.JoinHostPort(host, "0")
}

// reachable returns where this machine can call an agent that is bound to addr.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
