package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"duckduckgoose/agent"
	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/config"
	"duckduckgoose/agent/health"
	"duckduckgoose/agent/hooks"
	"duckduckgoose/agent/keys"
	"duckduckgoose/agent/seeds"
)

// agentSettings are an agent's flags. The agent package, or the profile, replaces zero values.
type agentSettings struct {
	set *pflag.FlagSet // those that fill the fields below

	agent.Config

	configFile          string
	socket              string // a path or a name
	hooks               []hooks.Hook
	hookTimeout         time.Duration
	logLevel, logFormat string
	netem               string
	seed                uint64
}

// flags makes the flags that fill s.
func (s *agentSettings) flags() {
	s.set = pflag.NewFlagSet("agent", pflag.ContinueOnError)
	s.Priority = new(uint8)
	f := s.set
	f.SortFlags = false
	stringFlag(f, &s.configFile, "config", "", "FILE", "YAML file; its keys are these flags' names")
	stringFlag(f, &s.Name, "name", "", "NAME", "for people, unique in the flock (default the host name)")
	stringFlag(f, &s.Bind, "bind", config.DefaultBind, "HOST[:PORT]", "where to listen, UDP and TCP; port 0 takes any")
	stringFlag(f, &s.Advertise, "advertise", "", "HOST[:PORT]", "the address that other agents call, or @INTERFACE (default the bound address, or that of the route to --join)")
	f.Var(&listFlag{kind: "ADDR,...", add: func(w string) error {
		s.Join = append(append([]string{}, s.Join...), seeds.Split(w)...) // not nil: it was given
		return nil
	}}, "join", "agents to call, again and again: HOST[:PORT], srv+NAME (DNS SRV) or exec:CMD (prints addresses); repeatable, comma lists")
	numberFlag(f, &s.Expect, "expect", "", 1000, "found a flock together with exactly N-1 others")
	stringFlag(f, &s.DataDir, "data-dir", "", "DIR", "where the agent keeps its votes and promises (default /var/lib/ddgoose/NAME for root, else ~/.local/state/ddgoose/NAME)")
	stringFlag(f, &s.socket, "socket", "", "PATH|NAME", "unix socket (default RUNTIME/NAME.sock; RUNTIME is /run/ddgoose for root, else $XDG_RUNTIME_DIR/ddgoose)")
	flagVar(f, &s.SocketMode, "socket-mode", "0600", "MODE", "permissions of the socket; in any case only root and the agent's user may change anything", parseMode)
	stringFlag(f, &s.HTTP, "http", "", "HOST:PORT", "read-only HTTP for load balancers and metrics (default off)")
	stringFlag(f, &s.Flock, "flock", "default", "LABEL", "agents with different labels never mix")
	stringFlag(f, &s.KeyFile, "key-file", "", "FILE", "keys that seal all traffic, one a line (ddgoose keygen; default on loopback RUNTIME/loopback.key, made if missing)")
	boolFlag(f, &s.Insecure, "insecure", "run without a key, on loopback or on a trusted network")
	choiceFlag(f, &s.Profile, "profile", "lan", "timing: heartbeat/lease of 50ms/500ms, 10ms/100ms or 150ms/1.5s", "lan", "local", "wan")
	durationFlag(f, &s.Heartbeat, "heartbeat", "", "time between the goose's heartbeats (default the profile's)")
	leaseFlag(f, &s.Lease, &s.AutoLease, "how long a majority's promise lasts, at least 4 heartbeats (default the profile's); auto: as the goose measures its network")
	durationFlag(f, &s.Grace, "grace", config.DefaultGrace.String(), "how long running work may take to finish before a planned hand-over, unless it names a time; the lease is renewed meanwhile")
	numberFlag(f, &s.Voters, "voters", "5", 7, "how many voters this agent keeps when it is the goose: 1, 3, 5 or 7")
	numberFlag(f, s.Priority, "priority", "100", 255, "higher leads first; 0 makes a witness, which votes and never leads")
	boolFlag(f, &s.Preempt, "preempt", "take over from a goose of lower --priority; without it, priority matters in elections only")
	durationFlag(f, &s.PreemptAfter, "preempt-after", config.DefaultPreemptAfter.String(), "how long this agent must first have been a steady voter, 1s to 24h")
	boolFlag(f, &s.Warden, "warden", "start a small process that lets the others elect at once when this one dies (Linux)")
	boolFlag(f, &s.Observer, "observer", "never be a voter")
	electionListFlag(f, &s.Elections, "a further election that this agent may lead (ddgoose elections); repeatable, comma lists")
	f.Var(&listFlag{kind: "K=V", add: s.addTag}, "tag", "shown in members; repeatable")
	f.Var(&listFlag{kind: "EVENT=CMD", add: func(w string) error {
		h, err := hooks.Parse(w)
		if err == nil {
			s.hooks = append(s.hooks, h)
		}
		return err
	}}, "on", "run CMD by /bin/sh at each event goose, duck, change or member; repeatable")
	durationFlag(f, &s.hookTimeout, "hook-timeout", hooks.DefaultTimeout.String(), "how long a CMD of --on may take; then its process group is killed")
	stringFlag(f, &s.Check.Ask, "check", "", "CMD|URL", "lead only while CMD ends with 0, or http://URL, https://URL or tcp://HOST:PORT answers")
	durationFlag(f, &s.Check.Interval, "check-interval", health.DefaultInterval.String(), "time between two checks")
	durationFlag(f, &s.Check.Timeout, "check-timeout", "", "how long a check may take (default 1s, or --check-interval if that is shorter)")
	numberFlag(f, &s.Check.Rise, "check-rise", strconv.Itoa(health.DefaultRise), 100, "passes in a row that make a failing check pass")
	numberFlag(f, &s.Check.Fall, "check-fall", strconv.Itoa(health.DefaultFall), 100, "failures in a row that make a passing check fail")
	f.Var((*checksFlag)(&s.Checks), "checks", "checks of elections, as YAML: {NAME: {check: CMD, check-interval: 2s}, ...}")
	choiceFlag(f, &s.logLevel, "log-level", "info", "what is logged", "debug", "info", "warn", "error")
	choiceFlag(f, &s.logFormat, "log-format", "text", "how it is logged", "text", "json")
	stringFlag(f, &s.netem, "netem", "", "RULES", "fault rules in force from the start (ddgoose netem --help)")
	numberFlag(f, &s.seed, "netem-seed", "", 1<<64-1, "random seed of the fault rules (default random)")
}

func (s *agentSettings) addTag(word string) error {
	k, v, ok := strings.Cut(word, "=")
	if !ok || k == "" {
		return fmt.Errorf("want KEY=VALUE, as rack=7")
	}
	if _, ok := s.Tags[k]; ok {
		return fmt.Errorf("tag %q is given twice: want each key once", k)
	}
	if s.Tags == nil {
		s.Tags = map[string]string{}
	}
	s.Tags[k] = v
	return nil
}

func parseMode(word string) (fs.FileMode, error) {
	m, err := strconv.ParseUint(word, 8, 32)
	if err != nil || m == 0 || m > 0o777 {
		return 0, fmt.Errorf("want octal permissions, as 0600 or 0660")
	}
	return fs.FileMode(m), nil
}

// config returns the agent's configuration, or one error that names all invalid settings.
func (s *agentSettings) config() (agent.Config, error) {
	cfg := s.Config
	var err error
	if cfg.Socket, err = socketPath(s.socket); err != nil {
		return cfg, err
	}
	if s.KeyFile != "" {
		if cfg.Keys, err = keys.ReadFile(s.KeyFile); err != nil {
			return cfg, err
		}
	}
	if s.Voters == 0 {
		return cfg, usage("voters 0: want 1, 3, 5 or 7")
	}
	cfg = cfg.Default()
	if err := cfg.Validate(); err != nil {
		return cfg, usage("%w", err)
	}
	return cfg, nil
}

// seal gives an agent on loopback without a key the key that this user's agents share:
// without it any local user could vote. It returns that key's file.
func (s *agentSettings) seal(cfg *agent.Config) (shared string, err error) {
	if len(cfg.Keys) > 0 || cfg.Insecure || !cfg.OnLoopback() {
		return "", nil
	}
	cfg.KeyFile, cfg.Keys, err = keys.Shared(client.RuntimeDir())
	return cfg.KeyFile, err
}

// socketPath reads --socket as the client commands do: a word without a slash is a name.
func socketPath(word string) (string, error) {
	switch {
	case word == "":
		return "", nil
	case strings.Contains(word, "/"):
		if err := api.CheckSocketPath(word); err != nil {
			return "", usage("%w", err)
		}
		return word, nil
	case strings.HasSuffix(word, ".sock"):
		return "", usage("socket %q: want a path with a slash, as ./%s, or a name without .sock, as %s", word, word, strings.TrimSuffix(word, ".sock"))
	}
	return filepath.Join(client.RuntimeDir(), word+".sock"), nil
}

// reloadable lists the settings that SIGHUP changes.
var reloadable = []string{"config", "grace", "hook-timeout", "join", "key-file", "log-level", "observer", "on", "preempt", "preempt-after", "priority", "tag", "voters"}

// changed returns the settings that differ in now and need a restart.
func (s *agentSettings) changed(now *agentSettings) (names []string) {
	s.set.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(reloadable, f.Name) && now.set.Lookup(f.Name).Value.String() != f.Value.String() {
			names = append(names, f.Name)
		}
	})
	return names
}
