package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"duckduckgoose/agent"
	"duckduckgoose/agent/store"
)

// taken adds the full command of a second agent to an error that says that
// what this one needs is another's.
func (c *agentCommand) taken(err error, cfg agent.Config) error {
	line := c.layers.line
	var is *agent.TakenError
	switch {
	case errors.Is(err, store.ErrLocked):
		line = beside(line, cfg)
	case !errors.As(err, &is):
		return err
	case is.Flag == "name":
		line = renamed(line, cfg)
	case is.Flag == "bind":
		line = moved(line, cfg)
	case is.Flag == "http":
		line = with(line, "http", anyPort(cfg.HTTP))
	default:
		return err
	}
	return fmt.Errorf("%w; a second agent on this machine: %s", err, secondCommand(line))
}

// renamed is the command line of an agent of another name.
func renamed(line map[string][]string, cfg agent.Config) map[string][]string {
	return with(line, "name", cfg.Name+"-2")
}

// moved is the command line of an agent on another port of this machine.
func moved(line map[string][]string, cfg agent.Config) map[string][]string {
	line = with(line, "bind", anyPort(cfg.Bind))
	if len(cfg.Join) == 0 && cfg.Expect == 0 {
		line = with(line, "join", reachable(cfg.Bind))
	}
	return line
}

// beside is the command line of a further agent that shares nothing with one
// of the same command line.
func beside(line map[string][]string, cfg agent.Config) map[string][]string {
	line = moved(renamed(line, cfg), cfg)
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

// with is the command line with a flag changed; line stays as it is.
func with(line map[string][]string, flag string, words ...string) map[string][]string {
	changed := map[string][]string{flag: words}
	for name, w := range line {
		if name != flag {
			changed[name] = w
		}
	}
	return changed
}

func anyPort(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return net.JoinHostPort(host, "0")
}

// reachable is where an agent that is bound to addr can be called from here.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// secondCommand is a command line that can be pasted.
func secondCommand(line map[string][]string) string {
	first := []string{"name", "bind", "join"}
	var names []string
	for name := range line {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		rank := func(s string) int {
			if i := slices.Index(first, s); i >= 0 {
				return i
			}
			return len(first)
		}
		if r := rank(a) - rank(b); r != 0 {
			return r
		}
		return strings.Compare(a, b)
	})
	command := "ddgoose agent"
	for _, name := range names {
		for _, w := range line[name] {
			command += " --" + name
			if w == "true" || w == "false" {
				command += "=" + w // a switch takes no word of its own
			} else {
				command += " " + quoted(w)
			}
		}
	}
	return command
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/:=,@+%", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
