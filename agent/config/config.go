// Package config holds the settings of an agent: their defaults, and the checks that
// refuse wrong values.
package config

import (
	"cmp"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/health"
	"duckduckgoose/agent/keys"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/seeds"
	"duckduckgoose/agent/store"
)

// DefaultBind is where an agent listens unless told otherwise.
const DefaultBind = "127.0.0.1:3825"

// The defaults and the upper limits of Config.Grace and Config.PreemptAfter.
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
	// Show returns the rules as text; expiresIn is negative when they never expire.
	Show() (rules string, expiresIn time.Duration, seed uint64)
	// Learn maps addresses to names, so that rules can name agents.
	Learn(names map[netip.AddrPort]string)
	// Unmatched returns the parts of the rules that match none of these agents.
	Unmatched(names map[netip.AddrPort]string) []string
	Counters() map[string]uint64
}

// Config is an agent's configuration. The zero value, filled in by Default, is
// an agent on loopback that founds a flock of its own.
type Config struct {
	Name      string // for people, unique in the flock; default: the host name
	Bind      string // HOST[:PORT], one port for UDP and TCP; default 127.0.0.1:3825, port 0 takes any
	Advertise string // the address that others call; default: the bound address, or the first private one
	// Join lists the agents to call, again and again: HOST[:PORT], names with several
	// addresses, srv+NAME for DNS SRV records, exec:CMD for a command that prints
	// addresses. Each round of calls looks the names up and runs the command again. nil:
	// none. An empty list that is not nil is an error: an agent that should join must not
	// found a flock of its own.
	Join    []string
	Expect  int    // found a flock together with Expect-1 others; 0: no
	DataDir string // default /var/lib/ddgoose/NAME for root, else $XDG_STATE_HOME/ddgoose/NAME
	Socket  string // unix socket; default RUNTIME/NAME.sock; "none" for embedded agents without one
	// SocketMode are the socket file's permissions; default 0600.
	SocketMode fs.FileMode
	HTTP       string        // read-only HTTP, HOST:PORT; "": off
	Flock      string        // label: agents with different labels never mix; default "default"
	Keys       [][]byte      // 32 bytes each; the first seals, all open
	KeyFile    string        // read into Keys if Keys is empty; a key change at run time is written to it
	Insecure   bool          // allows a bind that is not loopback without a key
	Profile    string        // lan (default), local or wan
	Heartbeat  time.Duration // default: the profile's
	Lease      time.Duration // default: the profile's; 4 to 50 heartbeats, at most 10 s
	AutoLease  bool          // while it is the goose, this agent chooses Lease and Heartbeat itself; these are where it begins
	Voters     int           // how many voters this agent keeps when it is the goose: 1, 3, 5 or 7; default 5
	// Priority ranks successors, 0 to 255; nil: 100; 0: a witness, which votes and never leads.
	Priority *uint8
	Observer bool // never a voter
	// Elections are the named elections that this agent may lead, besides the default one:
	// 1 to 32 of a-z 0-9 . _ -. A flock has every election that any of its agents names,
	// for good, at most MaxElections. Agents that do not name an election only vote in it.
	Elections []string
	// Preempt makes this agent take over from a goose of lower priority, once it has been
	// a steady voter for PreemptAfter: 1 s to MaxPreemptAfter, default
	// DefaultPreemptAfter. Without Preempt, priority matters in elections only.
	Preempt      bool
	PreemptAfter time.Duration
	// Check tests the work beside this agent: while the check fails, this agent is never
	// the goose. Checks holds the checks of Elections, by name. The zero Check: none.
	Check  health.Check
	Checks map[string]health.Check
	// Warden starts a small process, this program once more, that lets the others elect at
	// once when this process dies, unless work outside it may go on: see package
	// agent/internal/warden. Work in this process must not leave its acts to other processes,
	// which would outlive it. The others must be reachable by plain UDP. Linux 5.3 or later.
	Warden bool
	Tags   map[string]string // shown in members; name and tags share about 425 bytes
	Grace  time.Duration     // how long running work may take to finish before a planned hand-over, unless the work names a time; at most MaxGrace; default DefaultGrace

	Logger  *slog.Logger // default: discards
	Version string       // shown in status
	// Counters returns extra counters for status and metrics; names are a-z and _. nil:
	// none. It may be called from any goroutine.
	Counters func() map[string]uint64

	// Busy is told when this agent begins to serve many connections or agents, and when that
	// is over; at the start it is busy. nil: nobody is told. A call must not block.
	Busy func(bool)

	// Listen opens the network, once per life; nil: real sockets. It may add a fault
	// emulator, which the agent then serves at /v1/netem; Faults may be nil.
	Listen func(bind string) (Transport, Faults, error)
	// Clock counts leases and must keep running while the machine sleeps; nil: the boot
	// clock. MonotonicClock stops while the machine sleeps; nil: the monotonic clock.
	Clock, MonotonicClock func() time.Duration
	// WallClock is the time of day that other agents are told when a slot is to be taken; nil: time.Now.
	WallClock func() time.Time
	FS        store.FS // nil: the real file system
	// Machine returns names of the machine and of its boot, for doctor; nil: this
	// machine's.
	Machine func() (host, boot string)
}

// profiles maps a profile to its heartbeat and lease.
var profiles = map[string][2]time.Duration{
	"lan":   {50 * time.Millisecond, 500 * time.Millisecond},
	"local": {10 * time.Millisecond, 100 * time.Millisecond},
	"wan":   {150 * time.Millisecond, 1500 * time.Millisecond},
}

// Default fills in missing settings. It reads only the host name and the environment.
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
	c.Check = c.Check.Default()
	c.Checks = maps.Clone(c.Checks)
	for name, check := range c.Checks {
		c.Checks[name] = check.Default()
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Clock == nil {
		c.Clock = boottime.Now
	}
	if c.WallClock == nil {
		c.WallClock = time.Now
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

// stateDir returns the folder of the data directories.
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

// Complete returns the settings with defaults, or all their errors.
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

// PreemptsAfter returns the value that the other agents see; 0: this agent does not
// preempt.
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

// thisMachine returns the host name and an id of this boot, which containers share; the
// id is "" where the system has none.
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

// Fixed lists the flags that differ and that Reload cannot change.
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
		{"lease", c.Lease != other.Lease || c.AutoLease != other.AutoLease},
		{"warden", c.Warden != other.Warden},
		{"check", c.Check != other.Check},
		{"checks", !maps.Equal(c.Checks, other.Checks)},
	} {
		if f.differs {
			flags = append(flags, f.flag)
		}
	}
	return flags
}
