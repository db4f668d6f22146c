package agent

import (
	"context"
	"maps"
	"slices"
)

// Reload takes a new configuration, as after a SIGHUP: Keys, KeyFile, Join, Tags,
// Priority, Preempt, PreemptAfter, Observer, Voters and Grace count from now on, and the flock hears
// of them. What differs of the rest needs a new start: its flags are listed,
// and the old values stay. A configuration with a fault changes nothing.
func (a *Agent) Reload(ctx context.Context, cfg Config) (restart []string, err error) {
	done, err := a.keyChanger.Turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	cfg, err = cfg.complete()
	if err != nil {
		return nil, err
	}
	return ask(ctx, a, func(l *life, answer func([]string, error)) error {
		if !slices.EqualFunc(cfg.Keys, l.cfg.Keys, slices.Equal) {
			if err := l.setKeys(cfg.Keys); err != nil {
				answer(nil, err)
				return nil
			}
		}
		c := &l.Agent.cfg
		restart := c.fixed(&cfg)
		c.Join, c.Tags, c.Priority, c.Observer = cfg.Join, maps.Clone(cfg.Tags), cfg.Priority, cfg.Observer
		c.KeyFile, c.Voters, c.Grace = cfg.KeyFile, cfg.Voters, cfg.Grace
		c.Preempt, c.PreemptAfter = cfg.Preempt, cfg.PreemptAfter
		l.gossip.Seed(c.Join)
		l.member.Reload(l.settings())
		answer(restart, nil)
		return nil
	})
}

// fixed lists the flags of what differs and cannot be changed by a Reload.
func (c *Config) fixed(other *Config) (flags []string) {
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
