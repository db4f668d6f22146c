package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent"
	"duckduckgoose/cmd/ddgoose/flock"
)

// AllOptions say how thoroughly everything is measured.
type AllOptions struct {
	Flock    flock.Options
	Agent    agent.Config // the timing of agents in one process
	Quick    bool         // in about 3 minutes
	Load     int
	Seed     uint64
	Progress func(Progress)
}

// AllReport is everything that the benches measure, in short.
type AllReport struct {
	Machine   string           `json:"machine"`
	At        time.Time        `json:"at"`
	Version   string           `json:"version"`
	LoadAvg   float64          `json:"load_average"` // before
	Start     *StartReport     `json:"start"`
	Flock     *Report          `json:"flock"`
	Will      *Report          `json:"last_will,omitempty"`
	API       *APIReport       `json:"api"`
	Scale     *ScaleReport     `json:"scale"`
	Elections *ElectionsReport `json:"elections"`
	Verdict
}

// amounts are how often and how long each thing is measured.
type amounts struct {
	starts, kills, stepDowns, changes, deaths int
	idle, asked, elections                    time.Duration
	sizes, watchers                           []int
}

var (
	quickly = amounts{
		starts: 5, kills: 12, stepDowns: 20, changes: 2, deaths: 1,
		idle: 10 * time.Second, asked: 2 * time.Second, elections: 8 * time.Second,
		sizes: []int{5, 50}, watchers: []int{10, 1000},
	}
	thoroughly = amounts{
		starts: 20, kills: 100, stepDowns: 50, changes: 10, deaths: 5,
		idle: time.Minute, asked: 10 * time.Second, elections: time.Minute,
		sizes: []int{5, 50, 200}, watchers: []int{10, 100, 1000},
	}
)

var startSizes = []int{1, 3, 5, 7}

const allElections = 100

// All measures everything, one after the other.
func All(ctx context.Context, o AllOptions, version string) (*AllReport, error) {
	n := thoroughly
	if o.Quick {
		n = quickly
	}
	r := &AllReport{Machine: machine(), At: time.Now().UTC(), Version: version, LoadAvg: loadAverage(), Verdict: Verdict{[]string{}}}
	in := func(name string) flock.Options {
		f := o.Flock
		f.Dir = filepath.Join(f.Dir, name)
		return f
	}
	parts := []struct {
		what  string
		each  time.Duration // a guess
		bench func(show func(Progress)) error
	}{
		{"start", time.Duration(n.starts) * 2 * time.Second, func(show func(Progress)) (err error) {
			r.Start, err = Start(ctx, StartOptions{Flock: in("s"), Sizes: startSizes, Starts: n.starts, Load: o.Load, Seed: o.Seed, Progress: show})
			return err
		}},
		{"failover", n.idle + time.Duration(4*n.kills+n.stepDowns)*time.Second, func(show func(Progress)) (err error) {
			r.Flock, err = Run(ctx, Options{Flock: in("f"), Kills: n.kills, StepDowns: n.stepDowns, Idle: n.idle, Load: o.Load, Seed: o.Seed, Progress: show})
			return err
		}},
		{"last will", time.Duration(2*n.kills) * time.Second, func(show func(Progress)) (err error) {
			if runtime.GOOS != "linux" {
				return nil // there are no wardens
			}
			f := in("w")
			f.Warden = true
			r.Will, err = Run(ctx, Options{Flock: f, Kills: n.kills, Load: o.Load, Seed: o.Seed, Progress: show})
			return err
		}},
		{"api", 3*n.asked + time.Duration(n.changes*len(n.watchers))*2*time.Second, func(show func(Progress)) (err error) {
			r.API, err = API(ctx, APIOptions{
				Flock: in("a"), Clients: APIClients, For: n.asked, Watchers: n.watchers, Changes: n.changes, Load: o.Load, Seed: o.Seed, Progress: show,
			})
			return err
		}},
		{"scale", time.Duration(len(n.sizes)) * (n.idle + 10*time.Second), func(show func(Progress)) (err error) {
			r.Scale, err = Scale(ctx, ScaleOptions{Agent: o.Agent, Sizes: n.sizes, For: n.idle, Deaths: n.deaths, Wait: ScaleWait, Seed: o.Seed, Progress: show})
			return err
		}},
		{"elections", 3 * (n.elections + settling), func(show func(Progress)) (err error) {
			r.Elections, err = Elections(ctx, ElectionsOptions{Flock: in("e"), Elections: allElections, For: n.elections, Load: o.Load, Seed: o.Seed, Progress: show})
			return err
		}},
	}
	for i := range parts {
		p, later := &parts[i], time.Duration(0)
		for _, q := range parts[i+1:] {
			later += q.each
		}
		err := p.bench(func(s Progress) {
			s.What, s.Left = fmt.Sprintf("%s (%d of %d): %s", p.what, i+1, len(parts), s.What), s.Left+later
			spent := time.Since(r.At)
			s.Done = float64(spent) / float64(spent+s.Left+1)
			o.Progress(s)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.what, err)
		}
	}
	if r.Will != nil {
		r.Impossible = slices.Concat(r.Impossible, r.Will.Impossible)
	}
	r.Impossible = slices.Concat(r.Impossible, r.Start.Impossible, r.Flock.Impossible, r.API.Impossible, r.Scale.Impossible, r.Elections.Impossible)
	return r, nil
}

// machine names this machine.
func machine() string {
	text := fmt.Sprintf("%d cores, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	if _, rest, ok := strings.Cut(fileText("/proc/cpuinfo"), "model name\t: "); ok {
		model, _, _ := strings.Cut(rest, "\n")
		text += ", " + model
	}
	if kernel := fileText("/proc/sys/kernel/osrelease"); kernel != "" {
		text += ", kernel " + strings.TrimSpace(kernel)
	}
	return text
}

// loadAverage is the machine's of the last minute; 0 where it cannot be read.
func loadAverage() (load float64) {
	_, _ = fmt.Sscan(fileText("/proc/loadavg"), &load)
	return load
}

// fileText is what a file says, and nothing where it cannot be read.
func fileText(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

func (r *AllReport) heading() string {
	return fmt.Sprintf("`ddgoose bench all` on %s, %s, load average %.1f, version %s: %s",
		r.Machine, r.At.Format("2006-01-02"), r.LoadAvg, r.Version, r.Flock.Setting.heading())
}

func (r *AllReport) tables() []table {
	t := table{title: "All times in ms", columns: []string{"what", "n", "median", "p99", "worst"}}
	times := func(what string, d *Distribution) {
		if d != nil {
			t.rows = append(t.rows, append([]string{what}, row("%d %.1f %.1f %.1f", d.N, d.Median, d.P99, d.Max)...))
			t.plots = append(t.plots, histogram(what, d)...)
		}
	}
	for _, s := range r.Start.Flocks {
		times(fmt.Sprintf("new flock of %d: from the first process until a majority names a goose", s.Agents), s.Time)
	}
	times("kill -9 of the goose until a majority names another", r.Flock.Failover)
	if r.Will != nil {
		times("the same with --warden", r.Will.Failover)
	}
	times("step-down: between the old goose's lease and the next one's", r.Flock.HandOff)
	for _, w := range r.API.Watched {
		times(fmt.Sprintf("%d watchers of one agent: from the first that knows a new goose to the last", w.Watchers), w.All)
	}
	for _, c := range r.Scale.Flocks {
		times(fmt.Sprintf("%d agents in one process: death of the goose until 99 %% know another", c.Agents), c.Known)
	}
	costs := table{title: "Costs", columns: []string{"what", "value"}}
	cost := func(what, format string, values ...any) {
		costs.rows = append(costs.rows, []string{what, fmt.Sprintf(format, values...)})
	}
	for _, role := range []string{"goose", "duck"} {
		var sum AgentCost
		n := 0.0
		for _, a := range r.Flock.Idle.Agents {
			if a.Role == role {
				sum.CPUPercent, sum.RSSMB, sum.SentPS, sum.BytesOutPS = sum.CPUPercent+a.CPUPercent, sum.RSSMB+a.RSSMB, sum.SentPS+a.SentPS, sum.BytesOutPS+a.BytesOutPS
				n++
			}
		}
		if n > 0 {
			cost("idle "+role, "%.2f %% of a core, %.1f MB resident, %.0f datagrams/s, %.0f bytes/s", sum.CPUPercent/n, sum.RSSMB/n, sum.SentPS/n, sum.BytesOutPS/n)
		}
	}
	for _, q := range r.API.Asked {
		cost(q.What, "%.0f/s with %.2f cores used by the agent; median %.2f ms", q.PerSecond, q.CPU, q.Latency.Median)
	}
	for _, c := range r.Scale.Flocks {
		cost(fmt.Sprintf("%d agents in one process", c.Agents), "joined in %.1fs; goose %.0f datagrams/s, another agent %.0f; %.2f %% of a core and %.2f MB per agent",
			c.JoinMS/1000, c.GooseSent, c.AgentSent, c.CPUPercent, c.MemoryMB)
	}
	for _, q := range r.Elections.Ratios {
		if q.Ratio != nil {
			cost(fmt.Sprintf("%d elections for %d: %s", q.Of, q.To, q.What), "%.2f times", *q.Ratio)
		}
	}
	return []table{t, costs}
}
