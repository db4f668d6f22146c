package agent

import (
	"context"
	"maps"
	"slices"
)

// Reload takes a new configuration, as after a SIGHUP. Keys, KeyFile, Join, Tags,
// Priority, Preempt, PreemptAfter, Observer, Voters and Grace change at once. For
// everything else that differs it returns the flags, which need a restart; the old
// values stay. A configuration with an error changes nothing.
func (a *Agent) Reload(ctx context.Context, cfg Config) (restart []string, err error) {
	done, err := a.keyChanger.Turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	cfg, err = cfg.Complete()
	if err != nil {
		return nil, err
	}
	return look(ctx, a, func(l *life) ([]string, error) {
		if !slices.EqualFunc(cfg.Keys, l.cfg.Keys, slices.Equal) {
			if err := l.setKeys(cfg.Keys); err != nil {
				return nil, err
			}
		}
		c := &l.Agent.cfg
		restart := c.Fixed(&cfg)
		c.Join, c.Tags, c.Priority, c.Observer = cfg.Join, maps.Clone(cfg.Tags), cfg.Priority, cfg.Observer
		c.KeyFile, c.Voters, c.Grace = cfg.KeyFile, cfg.Voters, cfg.Grace
		c.Preempt, c.PreemptAfter = cfg.Preempt, cfg.PreemptAfter
		l.gossip.Seed(c.Join)
		l.member.Reload(l.settings())
		return restart, nil
	})
}
