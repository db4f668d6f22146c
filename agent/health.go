package agent

import (
	"context"
	"sync"
	"sync/atomic"

	"duckduckgoose/agent/health"
	"duckduckgoose/agent/member"
)

// wellness is the last result of an election's check.
type wellness struct {
	health member.Health
	why    string // the check fails; "": it does not
}

// checked is an election's check. Until its first result the agent counts as unwell.
type checked struct {
	check health.Check // without Ask: none
	now   atomic.Pointer[wellness]
}

func (c *checked) wellness() wellness {
	if w := c.now.Load(); w != nil {
		return *w
	}
	if c.check.Ask == "" {
		return wellness{}
	}
	return wellness{member.Unwell, "it has not been asked yet"}
}

// check runs the checks of all elections until stop.
func (a *Agent) check() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	for _, at := range append(a.otherLocals(), a.main) {
		if at.checked.check.Ask == "" {
			continue
		}
		ended.Go(func() {
			at.checked.check.Watch(ctx, func(err error) {
				now := wellness{health: member.Well}
				if err != nil {
					now = wellness{member.Unwell, err.Error()}
				}
				at.checked.now.Store(&now)
				a.tellHealth(ctx, at, now)
			})
		})
	}
	return func() {
		cancel()
		ended.Wait()
	}
}

// tellHealth logs the result of a check and tells the loop. A dead agent's next life
// reads the result by itself.
func (a *Agent) tellHealth(ctx context.Context, at *local, now wellness) {
	log := a.cfg.Logger
	if at.name != "" {
		log = log.With("election", at.name)
	}
	if now.health == member.Well {
		log.Info("the check passes: this agent may lead")
	} else {
		log.Warn("the check fails: this agent does not lead", "check", at.checked.check.Ask, "error", now.why)
	}
	_ = a.do(ctx, func(l *life) error {
		if e := l.member.Named(at.name); e != nil {
			l.member.HoldersChanged(e)
		}
		l.member.LookNow()
		return nil
	})
}
