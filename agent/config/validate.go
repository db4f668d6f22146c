package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/health"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/seeds"
	"duckduckgoose/wire"
)

// Validate returns every error at once, one per line. Call it on what Default returns.
func (c Config) Validate() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !gossip.ValidName(c.Name) {
		bad("name %q: want 1 to 63 of A-Z a-z 0-9 . _ -, but not . or ..", c.Name)
	}
	if len(c.Flock) == 0 || len(c.Flock) > wire.MaxLabel {
		bad("flock label of %d bytes: want 1 to %d", len(c.Flock), wire.MaxLabel)
	}
	c.validateTiming(bad)
	if !slices.Contains([]int{1, 3, 5, 7}, c.Voters) {
		bad("voters %d: want 1, 3, 5 or 7", c.Voters)
	}
	if c.Expect < 0 || c.Expect > wire.MaxFounders {
		bad("expect %d: want 1 to %d, or 0 for none", c.Expect, wire.MaxFounders)
	}
	if c.Observer && c.Expect > 0 && c.Expect < 2 {
		bad("an observer cannot found a flock alone: drop --observer or raise --expect")
	}
	if c.Preempt && (c.Observer || c.OwnPriority() == 0) {
		bad("preempt: an observer or a witness (priority 0) never leads: drop --preempt and --observer, or set a --priority above 0")
	}
	if c.PreemptAfter < time.Second || c.PreemptAfter > MaxPreemptAfter {
		bad("preempt-after %v: want 1s to %v", c.PreemptAfter, MaxPreemptAfter)
	}
	for k, v := range c.Tags {
		if !gossip.ValidTagKey(k) {
			bad("tag %q: want a key of 1 to 63 of A-Z a-z 0-9 . _ -, as --tag rack=7", k)
		}
		if !gossip.ValidText(v) {
			bad("tag %s=%q: want a value of printable characters", k, v)
		}
	}
	if err := gossip.CheckMeta(c.Name, c.Tags); err != nil {
		bad("%w", err)
	}
	for _, k := range c.Keys {
		if len(k) != wire.KeySize {
			bad("key of %d bytes: want %d (ddgoose keygen)", len(k), wire.KeySize)
		}
	}
	if len(c.Elections) > MaxElections {
		bad("%d elections: want %d or fewer", len(c.Elections), MaxElections)
	}
	for i, name := range c.Elections {
		switch {
		case !api.ValidElection(name):
			bad("election %q: %s", name, api.ElectionForm)
		case slices.Contains(c.Elections[:i], name):
			bad("election %q is named twice: name it once", name)
		}
	}
	if c.Check != (health.Check{}).Default() {
		if err := c.Check.Validate(); err != nil {
			bad("%w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Checks)) {
		if !slices.Contains(c.Elections, name) {
			bad("checks: election %q is not in this agent's --election list", name)
		} else if err := c.Checks[name].Validate(); err != nil {
			bad("checks: election %q: %w", name, err)
		}
	}
	c.validateAddresses(bad)
	return errors.Join(faults...)
}

func (c *Config) validateTiming(bad func(string, ...any)) {
	if _, ok := profiles[c.Profile]; !ok {
		bad("profile %q: want lan, local or wan", c.Profile)
	}
	if c.Heartbeat < time.Millisecond {
		bad("heartbeat %v: want 1ms or more", c.Heartbeat)
	}
	if c.Lease > election.MaxPromise {
		bad("lease %v: want %v or less", c.Lease, election.MaxPromise)
	}
	if c.Lease < 4*c.Heartbeat {
		bad("lease %v: want 4 heartbeats or more, %v with a heartbeat of %v", c.Lease, 4*c.Heartbeat, c.Heartbeat)
	}
	if c.Heartbeat > 0 && c.Lease > 50*c.Heartbeat {
		bad("lease %v: want 50 heartbeats or less, %v with a heartbeat of %v", c.Lease, 50*c.Heartbeat, c.Heartbeat)
	}
	switch {
	case c.Grace < 0:
		bad("grace %v: want 0s or more", c.Grace)
	case c.Grace > MaxGrace:
		bad("grace %v: want %v or less", c.Grace, MaxGrace)
	}
}

func (c *Config) validateAddresses(bad func(string, ...any)) {
	host, bindPort, err := net.SplitHostPort(c.Bind)
	if err != nil {
		bad("bind %q: want HOST[:PORT], as %s", c.Bind, DefaultBind)
		return
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		if err := seeds.Usable(ip); err != nil {
			bad("bind %q: %w", c.Bind, err)
		}
	}
	tells, err := port.ParseAdvertise(c.Advertise)
	if err != nil {
		bad("%w", err)
	}
	if n, err := strconv.ParseUint(bindPort, 10, 16); err != nil {
		bad("bind %q: port %q: want 0 to 65535", c.Bind, bindPort)
	} else if n == 0 && c.Advertise != "" && !strings.HasPrefix(c.Advertise, "@") && !tells.NamesPort() {
		bad("advertise %q: name the port too, because --bind leaves it open (port 0)", c.Advertise)
	}
	loopback := IsLoopback(host)
	if !loopback && len(c.Keys) == 0 && !c.Insecure {
		bad("bind %s without a key lets anybody on the network vote: add --key-file F (ddgoose keygen --out F), or --insecure on a trusted network", c.Bind)
	}
	if c.Join != nil && len(c.Join) == 0 {
		bad("join: the list is empty: name an agent (HOST[:PORT]), or leave --join out to found a new flock")
	}
	for _, j := range c.Join {
		s, err := seeds.Parse(j)
		switch {
		case err != nil:
			bad("join %q: %w", j, err)
		case loopback && !s.IsCommand() && !IsLoopback(s.Host()):
			bad("join %s from a loopback bind (%s) reaches nobody: add --bind 0.0.0.0:%d --key-file F", j, c.Bind, seeds.DefaultPort)
		}
	}
	if c.HTTP != "" {
		if _, _, err := net.SplitHostPort(c.HTTP); err != nil {
			bad("http %q: want HOST:PORT, as 127.0.0.1:8080", c.HTTP)
		}
	}
}

// OnLoopback reports whether only this machine can reach the agent.
func (c *Config) OnLoopback() bool {
	host, _, err := net.SplitHostPort(c.Bind)
	return err == nil && IsLoopback(host)
}

// IsLoopback reports whether a host name or address reaches this machine only. Names
// other than localhost may be anywhere.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}
