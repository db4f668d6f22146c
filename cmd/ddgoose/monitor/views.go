package monitor

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// View is the flock as one agent sees it, beyond what a watch reports.
type View struct {
	From    string    // the agent that was asked; "": none has answered yet
	At      time.Time // when the last of it came
	Members []api.Member
	// By the members' ids, without those that are unknown.
	RTT      map[string]time.Duration
	Loss     map[string]float64 // 0 to 1
	Promises map[string]Promise
}

// Promise is what a voter has promised, or how long it may not promise anything.
type Promise struct {
	To    string        // the only agent that it elects; "": none, or unknown
	Left  time.Duration // for how long
	Waits time.Duration // after a restart it neither votes nor campaigns for so long
}

// Views keeps the newest view.
type Views struct {
	mu  sync.Mutex
	now View
}

// viewEvery is how often an agent is asked for its view, and viewWait how long each
// answer may take: without a goose the agent asks all voters first.
const (
	viewEvery = time.Second
	viewWait  = 2 * time.Second
)

// Fresh reports whether a view is not older than usual.
func (v *View) Fresh(at time.Time) bool { return at.Sub(v.At) <= viewEvery+viewWait/4 }

// Unheard reports whether the viewer is a goose to whom a voter has promised nothing:
// it has not answered for a lease.
func (v *View) Unheard(m *api.Member) bool {
	_, promised := v.Promises[m.ID]
	leads := slices.ContainsFunc(v.Members, func(o api.Member) bool { return o.Name == v.From && o.Role == api.RoleGoose })
	return leads && len(v.Promises) > 0 && m.Voter && m.Name != v.From && !promised
}

// Old reports whether a view is too old for its paths to mean anything.
func (v *View) Old(at time.Time) bool { return at.Sub(v.At) > viewEvery+2*viewWait }

// Now returns the newest view. It must not be changed.
func (v *Views) Now() View {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Follow asks the agent that p chooses until ctx ends. It changes to another agent as
// soon as p chooses it.
func (v *Views) Follow(ctx context.Context, p *Pulse, preferred string) {
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	for {
		asked := p.choose(preferred)
		v.ask(ctx, p.m, asked)
		for due := false; !due; {
			changed := p.m.Look(func(map[string]api.Status) {})
			if p.choose(preferred) != asked {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				due = true
			case <-changed:
			}
		}
	}
}

// ask asks an agent for its view.
func (v *Views) ask(ctx context.Context, m *Monitor, name string) {
	if name == "" {
		return
	}
	if now, err := look(ctx, name, m.Client(name)); err == nil {
		v.mu.Lock()
		v.now = now
		v.mu.Unlock()
	}
}

func look(ctx context.Context, name string, c *client.Client) (View, error) {
	v := View{From: name, RTT: map[string]time.Duration{}, Loss: map[string]float64{}, Promises: map[string]Promise{}}
	err := patient(ctx, func(ctx context.Context) (err error) {
		v.Members, err = c.Members(ctx)
		return err
	})
	if err != nil {
		return v, err
	}
	for _, m := range v.Members {
		if m.RTTMS != nil {
			v.RTT[m.ID] = ms(*m.RTTMS)
		}
	}
	// If the agent is too old for the rest, the members alone are shown.
	_ = patient(ctx, func(ctx context.Context) error {
		text, err := c.Metrics(ctx)
		if err == nil {
			v.measure(text)
		}
		return err
	})
	_ = patient(ctx, func(ctx context.Context) error {
		why, err := c.Why(ctx)
		if err == nil {
			v.promises(&why)
		}
		return err
	})
	v.At = time.Now()
	return v, nil
}

// patient calls f with a context that ends after wait.
func patient(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, viewWait)
	defer cancel()
	return f(ctx)
}

// peerPrefix begins the names of the metrics about paths.
const peerPrefix = "ddgoose_peer_"

// measure reads the paths from the metrics.
func (v *View) measure(text []byte) {
	var paths []byte // only the lines about paths: parsing all would take most of the screen's CPU time
	for l := range bytes.Lines(text) {
		if bytes.Contains(l, []byte(peerPrefix)) {
			paths = append(paths, l...)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(paths))
	if err != nil {
		return // of another version: its members have round trip times as well
	}
	each := func(name string, f func(id string, value float64)) {
		for _, m := range families[name].GetMetric() {
			if id := labelOf(m, "id"); id != "" {
				f(id, m.GetGauge().GetValue())
			}
		}
	}
	each(peerPrefix+"rtt_seconds", func(id string, s float64) { v.RTT[id] = time.Duration(s * float64(time.Second)) })
	each(peerPrefix+"loss_ratio", func(id string, ratio float64) { v.Loss[id] = ratio })
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func (v *View) promises(why *api.Why) {
	for _, voter := range why.Voters {
		var p Promise
		if voter.Restarted != nil {
			p.Waits = ms(*voter.Restarted)
		}
		if voter.Promised != nil {
			p.Left, p.To = ms(*voter.Promised), voter.PromisedTo
		}
		if voter.Promised != nil || p.Waits > 0 {
			v.Promises[voter.ID] = p
		}
	}
}

func ms(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
