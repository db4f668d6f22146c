// Package config is what an agent is started with: defaults, and the values that
// are refused.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/keys"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/seeds"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// DefaultBind is where an agent listens unless told otherwise.
const DefaultBind = "127.0.0.1:3825"

// The defaults of Config.Grace and Config.PreemptAfter, and the longest there can be.
const (
	DefaultGrace        = 5 * time.Second
	MaxGrace            = api.MaxGrace
	DefaultPreemptAfter = time.Minute
	MaxPreemptAfter     = member.MaxPreemptAfter
)

// MaxElections bounds the elections of a flock beside the default one.
const MaxElections = store.MaxElections - 1

// Transport is one agent's network. The real one is [port.ListenUDP].
type Transport = port.Transport

// Faults is the network emulator as an agent sees it.
type Faults interface {
	// Set replaces the rules; ttl 0 keeps them for ever. An error leaves the old ones.
	Set(rules string, ttl time.Duration) error
	Clear()
	// Show gives the rules as they print; expiresIn is below 0 when they do not expire.
	Show() (rules string, expiresIn time.Duration, seed uint64)
	// Learn tells who is who, so that rules can name agents.
	Learn(names map[netip.AddrPort]string)
	Counters() map[string]uint64
}

// Config is an agent's configuration. The zero value, filled in by Default, is
// an agent on loopback that founds a flock of its own.
type Config struct {
	Name      string // for people, unique in the flock; default: the host name
	Bind      string // HOST[:PORT], one port for UDP and TCP; default 127.0.0.1:3825, port 0 takes any
	Advertise string // what others are told; default: the bound address, or the first private one
	// Join names agents to call, for ever: HOST[:PORT], names with several
	// addresses, srv+NAME for DNS SRV records, exec:CMD for a command that prints
	// addresses. Names are looked up, and the command is run, before each round of
	// calls. nil: none. A list that is empty but not nil is an error: an agent that
	// was to join must not found a flock of its own.
	Join    []string
	Expect  int    // found a flock together with Expect-1 others; 0: no
	DataDir string // default /var/lib/ddgoose/NAME for root, else $XDG_STATE_HOME/ddgoose/NAME
	Socket  string // unix socket; default RUNTIME/NAME.sock; "none" for embedded agents without one
	// SocketMode are the socket file's permissions; default 0600.
	SocketMode fs.FileMode
	HTTP       string        // read-only HTTP, HOST:PORT; "": off
	Flock      string        // label: agents of another never mix; default "default"
	Keys       [][]byte      // 32 bytes each; the first seals, all open
	KeyFile    string        // read into Keys when that is empty; a change of keys while the agent runs is written to it
	Insecure   bool          // allows a bind that is not loopback without a key
	Profile    string        // lan (default), local or wan
	Heartbeat  time.Duration // default: the profile's
	Lease      time.Duration // default: the profile's; 4 to 50 heartbeats, at most 10 s
	Voters     int           // how many voters to keep as goose: 1, 3, 5 or 7; default 5
	// Priority ranks successors, 0 to 255; nil: 100; 0: a witness, which votes and never leads.
	Priority *uint8
	Observer bool // never a voter
	// Elections are those that this agent contests beside the default one, by
	// name: 1 to 32 of a-z 0-9 . _ -. The flock has all that any of its agents
	// names, MaxElections at the most, for good; those that an agent does not name
	// it only votes in.
	Elections []string
	// Preempt has this agent take over from a goose of a lower priority, once that
	// goose has seen it be a steady voter for PreemptAfter: 1 s to MaxPreemptAfter,
	// default DefaultPreemptAfter. Without it, priority counts at elections only.
	Preempt      bool
	PreemptAfter time.Duration
	Tags         map[string]string // shown in members; name and tags share about 425 bytes
	Grace        time.Duration     // how long a planned hand-over waits for work that does not say itself, at most MaxGrace; default DefaultGrace

	Logger  *slog.Logger // default: discards
	Version string       // shown in status
	// Counters gives further counters for status and metrics, by names of
	// a-z and _; nil: none. It may be called from any goroutine.
	Counters func() map[string]uint64

	// Listen opens the network, once for each life; nil: real sockets. It may
	// wrap it in an emulator of faults, which the agent then serves at
	// /v1/netem; Faults may be nil.
	Listen func(bind string) (Transport, Faults, error)
	// Clock counts leases and must not stand still in a suspend; nil: the boot
	// clock. MonotonicClock does stand still; nil: the monotonic clock.
	Clock, MonotonicClock func() time.Duration
	FS                    store.FS // nil: the real file system
	// Machine names the machine and its boot, for doctor; nil: this one's.
	Machine func() (host, boot string)
}

// profiles are heartbeat and lease by name.
var profiles = map[string][2]time.Duration{
	"lan":   {50 * time.Millisecond, 500 * time.Millisecond},
	"local": {10 * time.Millisecond, 100 * time.Millisecond},
	"wan":   {150 * time.Millisecond, 1500 * time.Millisecond},
}

// Default fills in what is not set. It reads nothing but the host name and the environment.
func (c Config) Default() Config {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "agent"
		}
		c.Name, _, _ = strings.Cut(host, ".")
	}
	c.Bind = cmp.Or(c.Bind, DefaultBind)
	if _, _, err := net.SplitHostPort(c.Bind); err != nil {
		host := strings.Trim(c.Bind, "[]")
		if _, ip := netip.ParseAddr(host); ip == nil || !strings.Contains(host, ":") {
			c.Bind = net.JoinHostPort(host, strconv.Itoa(seeds.DefaultPort))
		}
	}
	c.DataDir = cmp.Or(c.DataDir, filepath.Join(stateDir(), c.Name))
	c.Socket = cmp.Or(c.Socket, filepath.Join(client.RuntimeDir(), c.Name+".sock"))
	c.SocketMode = cmp.Or(c.SocketMode, 0o600)
	c.Flock = cmp.Or(c.Flock, "default")
	c.Profile = cmp.Or(c.Profile, "lan")
	c.Heartbeat = cmp.Or(c.Heartbeat, profiles[c.Profile][0])
	c.Lease = cmp.Or(c.Lease, profiles[c.Profile][1])
	c.Voters = cmp.Or(c.Voters, 5)
	c.PreemptAfter = cmp.Or(c.PreemptAfter, DefaultPreemptAfter)
	c.Grace = cmp.Or(c.Grace, DefaultGrace)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Clock == nil {
		c.Clock = boottime.Now
	}
	if c.MonotonicClock == nil {
		c.MonotonicClock = boottime.Monotonic
	}
	if c.Machine == nil {
		c.Machine = thisMachine
	}
	if c.Listen == nil {
		c.Listen = func(bind string) (Transport, Faults, error) {
			t, err := port.ListenUDP(bind, c.Logger)
			return t, nil, err
		}
	}
	return c
}

// stateDir is where data directories live.
func stateDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/ddgoose"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "ddgoose")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local", "state", "ddgoose")
}

// Complete gives the configuration to run with, or all its faults.
func (c Config) Complete() (Config, error) {
	c = c.Default()
	if len(c.Keys) == 0 && c.KeyFile != "" {
		var err error
		if c.Keys, err = keys.ReadFile(c.KeyFile); err != nil {
			return c, err
		}
	}
	return c, c.Validate()
}

// PreemptsAfter is what the others are told; 0: this agent does not preempt.
func (c *Config) PreemptsAfter() time.Duration {
	if !c.Preempt {
		return 0
	}
	return c.PreemptAfter
}

// OwnPriority is Priority, or the default.
func (c *Config) OwnPriority() uint8 {
	if c.Priority == nil {
		return election.DefaultPriority
	}
	return *c.Priority
}

// Validate reports every fault at once, a line each, and changes nothing. It
// expects what Default gives.
func (c Config) Validate() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !gossip.ValidName(c.Name) {
		bad("name %q: want 1 to 63 of A-Z a-z 0-9 . _ -, and not . or ..", c.Name)
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
		bad("preempt: an observer or a witness (priority 0) never leads: drop --preempt, or give it a --priority above 0")
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
		bad("%d elections: at most %d", len(c.Elections), MaxElections)
	}
	for i, name := range c.Elections {
		switch {
		case !api.ValidElection(name):
			bad("election %q: %s", name, api.ElectionForm)
		case slices.Contains(c.Elections[:i], name):
			bad("election %q is named twice", name)
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
		bad("advertise %q: name the port too when --bind takes any", c.Advertise)
	}
	loopback := IsLoopback(host)
	if !loopback && len(c.Keys) == 0 && !c.Insecure {
		bad("bind %s without a key: anybody on the network could vote: add --key-file F (ddgoose keygen --out F), or --insecure where the network itself is trusted", c.Bind)
	}
	if c.Join != nil && len(c.Join) == 0 {
		bad("join: the list of agents to call is empty: want HOST[:PORT] of an agent, or no --join at all to found a flock of its own")
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

// IsLoopback tells whether a host reaches this machine only. Other names may be anywhere.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// thisMachine gives the host's name, and what names this boot of this machine,
// for agents in containers too; "" where the system does not tell.
func thisMachine() (host, boot string) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return host, ""
	}
	return host, strings.TrimSpace(string(b))
}

// Fixed lists the flags of what differs and cannot be changed by a Reload.
func (c *Config) Fixed(other *Config) (flags []string) {
	for _, f := range []struct {
		flag    string
		differs bool
	}{
		{"name", c.Name != other.Name},
		{"bind", c.Bind != other.Bind},
		{"advertise", c.Advertise != other.Advertise},
		{"expect", c.Expect != other.Expect},
		{"data-dir", c.DataDir != other.DataDir},
		{"socket", c.Socket != other.Socket},
		{"socket-mode", c.SocketMode != other.SocketMode},
		{"http", c.HTTP != other.HTTP},
		{"flock", c.Flock != other.Flock},
		{"heartbeat", c.Heartbeat != other.Heartbeat},
		{"lease", c.Lease != other.Lease},
	} {
		if f.differs {
			flags = append(flags, f.flag)
		}
	}
	return flags
}
