package monitor

import (
	"bytes"
	"context"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// View is the flock as one agent sees it: what no watch tells.
type View struct {
	From    string // who was asked; "": nobody has answered yet
	Members []api.Member
	// By the members' ids; what is unknown is missing.
	RTT      map[string]time.Duration
	Loss     map[string]float64 // 0 to 1
	Promises map[string]Promise
}

// Promise is what a voter has promised, or why it may promise nothing.
type Promise struct {
	To    string        // whom it elects alone; "": nobody, or unknown
	Left  time.Duration // for how long
	Waits time.Duration // after a restart it neither votes nor campaigns for so long
}

// Views keeps the newest view.
type Views struct {
	mu  sync.Mutex
	now View
}

// viewEvery is how often an agent is asked for its view, and viewWait how long
// its answer may take: without a goose it asks all voters first.
const (
	viewEvery = time.Second
	viewWait  = 3 * time.Second
)

// Now gives the newest view. It must not be changed.
func (v *Views) Now() View {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Follow asks, until ctx ends, the goose where its socket is at hand: it hears all
// voters; else whom choose names ("": nobody).
func (v *Views) Follow(ctx context.Context, m *Monitor, choose func() string) {
	every(ctx, viewEvery, func() {
		name := m.goose()
		if name == "" {
			name = choose()
		}
		c := m.Client(name)
		if c == nil {
			return
		}
		ask, cancel := context.WithTimeout(ctx, viewWait)
		defer cancel()
		if now, err := look(ask, name, c); err == nil {
			v.mu.Lock()
			v.now = now
			v.mu.Unlock()
		}
	})
}

func look(ctx context.Context, name string, c *client.Client) (View, error) {
	v := View{From: name, RTT: map[string]time.Duration{}, Loss: map[string]float64{}, Promises: map[string]Promise{}}
	var err error
	if v.Members, err = c.Members(ctx); err != nil {
		return v, err
	}
	for _, m := range v.Members {
		if m.RTTMS != nil {
			v.RTT[m.ID] = ms(*m.RTTMS)
		}
	}
	// One that has members is asked for the rest in vain at worst.
	if text, err := c.Metrics(ctx); err == nil {
		v.measure(text)
	}
	if why, err := c.Why(ctx); err == nil {
		v.promises(&why)
	}
	return v, nil
}

// measure takes what the metrics tell of paths.
func (v *View) measure(text []byte) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
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
	each("ddgoose_peer_rtt_seconds", func(id string, s float64) { v.RTT[id] = time.Duration(s * float64(time.Second)) })
	each("ddgoose_peer_loss_ratio", func(id string, ratio float64) { v.Loss[id] = ratio })
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
