package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDefaultsAreValid(t *testing.T) {
	c := Config{}.Default()
	require.NoError(t, c.Validate())
	require.Equal(t, DefaultBind, c.Bind)
	require.Equal(t, 500*time.Millisecond, c.Lease)
	require.Equal(t, 50*time.Millisecond, c.Heartbeat)
	for profile, lease := range map[string]time.Duration{"local": 100 * time.Millisecond, "wan": 1500 * time.Millisecond} {
		c := Config{Profile: profile}.Default()
		require.NoError(t, c.Validate())
		require.Equal(t, lease, c.Lease)
	}
}

func TestEveryFaultIsNamedWithItsValueAndTheRemedy(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`name "a b": want 1 to 63 of`:                   func(c *Config) { c.Name = "a b" },
		"flock label of 256 bytes":                      func(c *Config) { c.Flock = strings.Repeat("x", 256) },
		`profile "moon": want lan, local`:               func(c *Config) { c.Profile = "moon" },
		"lease 199ms: want 4 heartbeats or more, 200ms": func(c *Config) { c.Lease = 199 * time.Millisecond },
		"lease 11s: want 10s or less":                   func(c *Config) { c.Lease, c.Heartbeat = 11*time.Second, time.Second },
		"lease 5s: want 50 heartbeats or less":          func(c *Config) { c.Lease = 5 * time.Second },
		"heartbeat 1µs: want 1ms or more":               func(c *Config) { c.Heartbeat = time.Microsecond },
		"voters 4: want 1, 3, 5 or 7":                   func(c *Config) { c.Voters = 4 },
		"expect 33: want 1 to 32":                       func(c *Config) { c.Expect = 33 },
		`tag "a=b": want a key`:                         func(c *Config) { c.Tags = map[string]string{"a=b": "c"} },
		"bytes too many: name and tags together": func(c *Config) {
			c.Tags = map[string]string{"a": strings.Repeat("x", 250), "b": strings.Repeat("x", 250)}
		},
		"key of 31 bytes: want 32": func(c *Config) { c.Keys = [][]byte{make([]byte, 31)} },
		"without a key lets anybody on the network vote: add --key-file F":     func(c *Config) { c.Bind = "0.0.0.0:3825" },
		"reaches nobody: add --bind 0.0.0.0:3825 --key-file F":                 func(c *Config) { c.Join = []string{"10.0.0.7"} },
		`join "10.0.0.7:0": port "0": want 1 to 65535`:                         func(c *Config) { c.Join = []string{"10.0.0.7:0"} },
		`join "": want HOST or HOST:PORT`:                                      func(c *Config) { c.Join = []string{""} },
		"join: the list is empty: name an agent (HOST[:PORT])":                 func(c *Config) { c.Join = []string{} },
		`join "fe80::1%eth0": IPv6 link-local`:                                 func(c *Config) { c.Join = []string{"fe80::1%eth0"} },
		"join srv+a.test from a loopback bind (127.0.0.1:3825) reaches nobody": func(c *Config) { c.Join = []string{"srv+a.test"} },
		`bind "1:2:3": want HOST[:PORT]`:                                       func(c *Config) { c.Bind = "1:2:3" },
		`bind "127.0.0.1:99999": port "99999"`:                                 func(c *Config) { c.Bind = "127.0.0.1:99999" },
		`advertise "a b": want HOST[:PORT] or @INTERFACE[:PORT]`:               func(c *Config) { c.Advertise = "a b" },
		`advertise "0.0.0.0": it stands for all addresses`:                     func(c *Config) { c.Advertise = "0.0.0.0" },
		`advertise "fe80::1%eth0": IPv6 link-local`:                            func(c *Config) { c.Advertise = "fe80::1%eth0" },
		`advertise "@": want HOST[:PORT] or @INTERFACE`:                        func(c *Config) { c.Advertise = "@" },
		`advertise "@eth0:x": port "x": want 1 to 65535`:                       func(c *Config) { c.Advertise = "@eth0:x" },
		`bind "[fe80::1%eth0]:3825": IPv6 link-local`:                          func(c *Config) { c.Bind, c.Insecure = "[fe80::1%eth0]:3825", true },
		`http "8080": want HOST:PORT`:                                          func(c *Config) { c.HTTP = "8080" },
		"name the port too, because --bind leaves it open":                     func(c *Config) { c.Bind, c.Advertise = "127.0.0.1:0", "127.0.0.1" },
		"grace 2h0m0s: want 1h0m0s or less":                                    func(c *Config) { c.Grace = 2 * time.Hour },
		"preempt: an observer or a witness (priority 0) never leads":           func(c *Config) { c.Preempt, c.Observer = true, true },
		"drop --preempt and --observer, or set a --priority above 0":           func(c *Config) { c.Preempt, c.Priority = true, new(uint8) },
		"preempt-after 25h0m0s: want 1s to 24h0m0s":                            func(c *Config) { c.PreemptAfter = 25 * time.Hour },
		"preempt-after 1ms: want 1s to 24h0m0s":                                func(c *Config) { c.PreemptAfter = time.Millisecond },
		"grace -1s: want 0s or more":                                           func(c *Config) { c.Grace = -time.Second },
	} {
		c := Config{Name: "a"}
		change(&c)
		require.ErrorContains(t, c.Default().Validate(), want, want)
	}
}

func TestAllFaultsComeAtOnce(t *testing.T) {
	err := Config{Name: "?", Voters: 2, Expect: -1}.Default().Validate()
	require.Len(t, strings.Split(err.Error(), "\n"), 3)
}

func TestOnLoopbackIsWhatIsBoundThere(t *testing.T) {
	for bind, want := range map[string]bool{"127.0.0.2:0": true, "localhost:1": true, "[::1]:1": true, "0.0.0.0:1": false, "a.example:1": false} {
		require.Equal(t, want, (&Config{Bind: bind, Join: []string{"exec:/bin/addresses"}, Advertise: "10.0.0.1"}).OnLoopback(), bind)
	}
}

func TestBindTakesAHostAlone(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1": "10.0.0.1:3825", "::1": "[::1]:3825", "[::1]": "[::1]:3825", "[::1]:7": "[::1]:7", "localhost": "localhost:3825", "": DefaultBind,
	} {
		require.Equal(t, want, Config{Bind: in}.Default().Bind)
	}
}
