package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"duckduckgoose/agent"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/memory"
)

// ScaleOptions say how large flocks of agents in one process are measured.
type ScaleOptions struct {
	Agent    agent.Config // the timing of all agents
	Sizes    []int        // agents of each flock
	Loopback bool         // over UDP and TCP of this machine; else over a network in memory
	For      time.Duration
	Deaths   int           // of the goose, in each flock
	Wait     time.Duration // bounds each wait for all agents
	Seed     uint64
	Progress func(Progress)
}

// ScaleWait bounds each wait for all agents unless told otherwise.
const ScaleWait = 2 * time.Minute

// ScaleReport compares flocks of many agents.
type ScaleReport struct {
	Setting
	Network string      `json:"network"` // memory or loopback
	Flocks  []ScaleCost `json:"flocks"`
	Verdict
}

// ScaleCost is what a flock costs while nothing happens, and how it hears of a new goose.
type ScaleCost struct {
	Agents int `json:"agents"`
	// JoinMS is from the start of the first agent until all know the same goose and
	// count all agents.
	JoinMS float64 `json:"join_ms"`
	// LostJoining is how often a goose lost its lease in that time.
	LostJoining int `json:"leases_lost_while_joining"`
	// Known is from the death of the goose until 99 % of the others know another.
	Known *Distribution `json:"new_goose_known_by_99_percent_ms"`

	Seconds      float64 `json:"seconds"`
	GooseSent    float64 `json:"goose_datagrams_sent_per_s"`
	GooseBytes   float64 `json:"goose_bytes_sent_per_s"`
	AgentSent    float64 `json:"mean_datagrams_sent_per_s"`
	AgentBytes   float64 `json:"mean_bytes_sent_per_s"`
	CPUPercent   float64 `json:"mean_cpu_percent"` // of one core; this process's, divided by the agents
	MemoryMB     float64 `json:"mean_memory_mb"`   // in use after a collection, divided by the agents
	ChangesWhile int     `json:"changes"`          // goose periods that began while nothing happened
}

// Scale measures a flock of each size, one after the other.
func Scale(ctx context.Context, o ScaleOptions) (*ScaleReport, error) {
	cfg := o.Agent.Default()
	r := &ScaleReport{Network: "memory", Verdict: Verdict{[]string{}}, Setting: Setting{HeartbeatMS: ms(cfg.Heartbeat), LeaseMS: ms(cfg.Lease), AutoLease: cfg.AutoLease, Seed: o.Seed}}
	if o.Loopback {
		r.Network = "loopback"
	}
	steps := &plan{show: o.Progress}
	for _, n := range o.Sizes {
		steps.parts = append(steps.parts, part{what: ofSize(n, "join"), times: 1, each: settling},
			part{what: ofSize(n, "idle"), times: 1, each: o.For}, part{what: ofSize(n, "death of the goose"), times: o.Deaths, each: settling})
	}
	defer steps.follow(ctx)()
	for _, n := range o.Sizes {
		c, err := o.measure(ctx, n, r, steps)
		if err != nil {
			return nil, fmt.Errorf("%d agents: %w", n, err)
		}
		r.Flocks = append(r.Flocks, *c)
		r.Setting.Agents = max(r.Setting.Agents, n)
	}
	return r, nil
}

func ofSize(n int, what string) string { return fmt.Sprintf("%d agents: %s", n, what) }

// measure measures one flock.
func (o *ScaleOptions) measure(ctx context.Context, n int, r *ScaleReport, steps *plan) (c *ScaleCost, err error) {
	before := memoryInUse()
	w := &crowdedFlock{o: o, n: n, judge: newJudge(), net: memory.New(), changed: make(chan struct{}, 1)}
	defer func() {
		err = errors.Join(err, w.close())
		r.Impossible = append(r.Impossible, w.judge.verdict()...)
	}()
	steps.begin(ofSize(n, "join"))
	began := time.Now()
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	if err := w.whole(ctx); err != nil {
		return nil, err
	}
	c = &ScaleCost{Agents: n, JoinMS: ms(time.Since(began)), LostJoining: int(w.lost.Load()), MemoryMB: (memoryInUse() - before) / float64(n)}
	steps.begin(ofSize(n, "idle"))
	if err := w.idle(ctx, c); err != nil {
		return nil, err
	}
	c.Known, err = repeat(ctx, steps, ofSize(n, "death of the goose"), o.Deaths, w.death)
	return c, err
}

// memoryInUse is the memory of this process that something refers to, in MB.
func memoryInUse() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc+m.StackInuse) / (1 << 20)
}

// idle measures what the flock costs while nothing happens.
func (w *crowdedFlock) idle(ctx context.Context, c *ScaleCost) error {
	goose, token := w.goose()
	if goose == nil {
		return errors.New("the goose was lost while nothing happened")
	}
	sums := func() (own, all [2]float64) {
		for _, a := range w.agents {
			n := a.Status().Counters
			sent := [2]float64{float64(n["datagrams_sent"] + n["gossip_sent"]), float64(n["bytes_sent"] + n["gossip_bytes_sent"])}
			if a == goose {
				own = sent
			}
			all[0], all[1] = all[0]+sent[0], all[1]+sent[1]
		}
		return own, all
	}
	own, all := sums()
	cpu, began := cpuOfThis(), time.Now()
	if err := flock.Sleep(ctx, w.o.For); err != nil {
		return err
	}
	c.Seconds = time.Since(began).Seconds()
	c.CPUPercent = 100 * (cpuOfThis() - cpu).Seconds() / c.Seconds / float64(w.n)
	ownAfter, allAfter := sums()
	c.GooseSent, c.GooseBytes = (ownAfter[0]-own[0])/c.Seconds, (ownAfter[1]-own[1])/c.Seconds
	n := c.Seconds * float64(w.n)
	c.AgentSent, c.AgentBytes = (allAfter[0]-all[0])/n, (allAfter[1]-all[1])/n
	if _, now := w.goose(); now != token {
		c.ChangesWhile++
	}
	return nil
}

// cpuOfThis is the CPU time of this process.
func cpuOfThis() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // it does not fail for this process
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// death has the goose go silent, measures until 99 % of the others know another,
// and brings it back.
func (w *crowdedFlock) death(ctx context.Context) (took time.Duration, err error) {
	goose, token := w.goose()
	if goose == nil {
		return 0, errors.New("there is no goose")
	}
	s := goose.Status()
	w.judge.hear(&s)
	at := time.Now()
	if err := goose.Die(0); err != nil {
		return 0, err
	}
	err = w.until(ctx, "99 % of the agents to know another goose", func() bool {
		took = time.Since(at)
		deaf := 0
		for _, a := range w.agents {
			if s := a.latest(); a != goose && s.Token <= token {
				deaf++
			}
		}
		return deaf*100 <= w.n-1
	})
	if err != nil {
		return 0, err
	}
	if err := goose.Revive(); err != nil {
		return 0, err
	}
	return took, w.whole(ctx)
}

func (s *ScaleReport) heading() string {
	return fmt.Sprintf("agents in one process, network %s, %s", s.Network, s.conditions())
}

func (r *ScaleReport) tables() []table {
	t := table{
		title: "by the number of agents",
		columns: []string{
			"agents", "all joined s", "99 % know a new goose ms", "worst", "goose: datagrams/s", "bytes/s", "an agent: datagrams/s", "bytes/s", "CPU % of a core", "memory MB",
		},
	}
	for _, c := range r.Flocks {
		known, worst := "-", "-"
		if c.Known != nil {
			known, worst = fmt.Sprintf("%.0f", c.Known.Median), fmt.Sprintf("%.0f", c.Known.Max)
		}
		t.rows = append(t.rows, append([]string{fmt.Sprint(c.Agents), fmt.Sprintf("%.2f", c.JoinMS/1000), known, worst},
			row("%.1f %.0f %.1f %.0f %.3f %.2f", c.GooseSent, c.GooseBytes, c.AgentSent, c.AgentBytes, c.CPUPercent, c.MemoryMB)...))
		if c.LostJoining > 0 {
			t.notes = append(t.notes, fmt.Sprintf("%d agents: while they joined, the goose lost its lease %d times", c.Agents, c.LostJoining))
		}
		if c.ChangesWhile > 0 {
			t.notes = append(t.notes, fmt.Sprintf("%d agents: the goose changed although nothing happened", c.Agents))
		}
	}
	by := func(title, unit string, of func(*ScaleCost) float64) {
		t.plots = append(t.plots, bars(title, unit+", by agents", len(r.Flocks), func(i int) (float64, string) { return of(&r.Flocks[i]), fmt.Sprint(r.Flocks[i].Agents) }))
	}
	by("CPU of an agent", "% of a core", func(c *ScaleCost) float64 { return c.CPUPercent })
	by("memory of an agent", "MB", func(c *ScaleCost) float64 { return c.MemoryMB })
	by("datagrams that the goose sends", "a second", func(c *ScaleCost) float64 { return c.GooseSent })
	by("until all have joined", "s", func(c *ScaleCost) float64 { return c.JoinMS / 1000 })
	return []table{t}
}
