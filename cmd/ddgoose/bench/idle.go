package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// Idle is what each agent costs while nothing happens, and the worst of them.
type Idle struct {
	Seconds float64     `json:"seconds"`
	Agents  []AgentCost `json:"agents"`
	Mean    AgentCost   `json:"mean"`
	Worst   AgentCost   `json:"worst"`
}

// AgentCost is one agent's share.
type AgentCost struct {
	Name        string  `json:"name"`
	Role        string  `json:"role"`
	CPUPercent  float64 `json:"cpu_percent"` // of one core
	RSSMB       float64 `json:"rss_mb"`
	DatagramsPS float64 `json:"datagrams_per_s"` // sent and received, of the election
	BytesPS     float64 `json:"bytes_per_s"`
	SentPS      float64 `json:"datagrams_sent_per_s"`
}

// use is what a process has used so far.
type use struct {
	cpu    time.Duration
	rss    float64
	counts map[string]uint64
	role   string
}

func measureIdle(ctx context.Context, f *flock.Flock, window time.Duration) (*Idle, error) {
	before, err := uses(ctx, f)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	select {
	case <-time.After(window):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := uses(ctx, f)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(start).Seconds()
	idle := &Idle{Seconds: seconds, Mean: AgentCost{Name: "mean"}, Worst: AgentCost{Name: "worst"}}
	for _, name := range f.Names() {
		b, a := before[name], after[name]
		delta := func(names ...string) (sum float64) {
			for _, n := range names {
				sum += float64(a.counts[n] - b.counts[n])
			}
			return sum / seconds
		}
		c := AgentCost{
			Name: name, Role: a.role, CPUPercent: (a.cpu - b.cpu).Seconds() / seconds * 100, RSSMB: a.rss,
			DatagramsPS: delta("datagrams_sent", "datagrams_received"),
			BytesPS:     delta("bytes_sent", "bytes_received"),
			SentPS:      delta("datagrams_sent"),
		}
		idle.Agents = append(idle.Agents, c)
		n := float64(len(f.Names()))
		idle.Mean.CPUPercent += c.CPUPercent / n
		idle.Mean.RSSMB += c.RSSMB / n
		idle.Mean.DatagramsPS += c.DatagramsPS / n
		idle.Mean.BytesPS += c.BytesPS / n
		idle.Mean.SentPS += c.SentPS / n
		idle.Worst.CPUPercent = max(idle.Worst.CPUPercent, c.CPUPercent)
		idle.Worst.RSSMB = max(idle.Worst.RSSMB, c.RSSMB)
		idle.Worst.DatagramsPS = max(idle.Worst.DatagramsPS, c.DatagramsPS)
		idle.Worst.BytesPS = max(idle.Worst.BytesPS, c.BytesPS)
		idle.Worst.SentPS = max(idle.Worst.SentPS, c.SentPS)
	}
	return idle, nil
}

func uses(ctx context.Context, f *flock.Flock) (map[string]use, error) {
	all := map[string]use{}
	for _, name := range f.Names() {
		a, err := f.Agent(name)
		if err != nil {
			return nil, err
		}
		s, err := a.Client().Status(ctx)
		if err != nil {
			return nil, err
		}
		u, err := processUse(a.PID())
		if err != nil {
			return nil, err
		}
		u.counts, u.role = s.Counters, s.Role
		if u.role != api.RoleGoose {
			u.role = api.RoleDuck
		}
		all[name] = u
	}
	return all, nil
}

// processUse reads the kernel's account of a process.
func processUse(pid int) (use, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return use{}, fmt.Errorf("read the use of process %d (Linux only): %w", pid, err)
	}
	// The name, in parentheses, may hold spaces.
	fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
	if len(fields) < 22 {
		return use{}, fmt.Errorf("/proc/%d/stat has %d fields behind the name", pid, len(fields))
	}
	ticks := 0.0
	for _, i := range []int{11, 12} { // utime, stime, in USER_HZ of 100
		n, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return use{}, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	pages, err := strconv.ParseFloat(fields[21], 64)
	if err != nil {
		return use{}, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	return use{cpu: time.Duration(ticks * float64(time.Second) / 100), rss: pages * float64(os.Getpagesize()) / (1 << 20)}, nil
}
