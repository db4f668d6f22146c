package agent

import (
	"context"
	"net"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/config"
	"duckduckgoose/agent/internal/checkup"
	"duckduckgoose/agent/internal/doctor"
)

var _ api.FlockCommands = (*Agent)(nil)

// Doctor examines the flock: every live agent measures its paths to the others for d
// and reports. It takes d and some seconds, more if agents do not answer.
func (a *Agent) Doctor(ctx context.Context, d time.Duration) (api.Doctor, error) {
	begun := time.Now()
	found, err := a.examiner.Examine(ctx, d)
	if err == nil {
		a.cfg.Logger.Info("flock examined", "agents", len(found.Agents), "took", time.Since(begun).Round(time.Millisecond))
	}
	return found, err
}

// examined is the agent as the examiner sees it.
type examined struct{ a *Agent }

func (h examined) Members(ctx context.Context) (checkup.Members, error) { return h.a.askable(ctx) }

func (h examined) OnLoop(ctx context.Context, f func(*checkup.Prober)) error {
	return h.a.onLoop(ctx, func(l *life) error {
		f(l.prober)
		return nil
	})
}

func (h examined) Report(ctx context.Context, session uint64) (doctor.Report, error) {
	r, err := look(ctx, h.a, func(l *life) (doctor.Report, error) {
		r := l.report()
		l.prober.Report(&r, session)
		return r, nil
	})
	r.Host, r.Boot = h.a.cfg.Machine()
	s := h.a.Status()
	r.Role = s.Role
	if s.Goose != nil {
		r.Goose = s.Goose.ID
	}
	return r, err
}

// report returns what the loop knows about this agent.
func (l *life) report() doctor.Report {
	r := doctor.Report{
		Version: l.cfg.Version, Heartbeat: l.cfg.Heartbeat, Lease: l.cfg.Lease, Voters: l.cfg.Voters, Observer: l.cfg.Observer,
		Keys: l.keys.Load().KeyIDs(), Bind: l.cfg.Bind, Netem: l.namedRules(),
	}
	if ends := l.endsNetem(l.netemRules()); ends != clearNetem {
		r.EndsNetem = ends
	}
	work := l.main.Holders()
	r.Work, r.Well = work.Attached > 0, isWell(work.Health)
	if host, _, err := net.SplitHostPort(l.cfg.Bind); err == nil {
		r.Loopback = config.IsLoopback(host)
	}
	if n := l.node(); n != nil {
		rec := n.Record()
		r.Term, r.Waits = rec.Term, max(0, n.WaitUntil()-l.now())
		r.Config = doctor.Config{Term: rec.Config.Term, Version: rec.Config.Version}
		for _, v := range rec.Config.Members() {
			r.Config.Voters = append(r.Config.Voters, doctor.Voter{ID: v.ID.String(), Name: l.nameOf(v.ID), Priority: v.Priority})
		}
	}
	return r
}
