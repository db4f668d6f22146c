package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	r.head(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	r.times(t)
	r.costs(t)
	if err := t.Flush(); err != nil {
		return err
	}
	if s := r.Steady; s != nil {
		fmt.Fprintf(w, "\nsteady for %.0f s: %d changes of the goose and %d lapses of a lease that nobody caused (%d of them excused)\n",
			s.Seconds, s.Changes, s.Lapses, s.Excused)
		fmt.Fprintf(w, "the harness itself stalled %d times for more than 100ms, at worst for %.0fms\n", s.Stalls, s.WorstStall)
	}
	if r.Samples > 0 {
		fmt.Fprintf(w, "\n%d answers were taken while geese were paused\n", r.Samples)
	}
	return r.conclude(w)
}

func (s *Setting) head(w io.Writer) {
	fmt.Fprintf(w, "%d agents, heartbeat %vms, lease %vms", s.Agents, s.HeartbeatMS, s.LeaseMS)
	if s.Load > 0 {
		fmt.Fprintf(w, ", beside %d spinning processes per core", s.Load)
	}
	fmt.Fprintln(w)
}

func (v *Verdict) conclude(w io.Writer) (err error) {
	fmt.Fprintln(w)
	for _, what := range v.Impossible {
		fmt.Fprintln(w, "IMPOSSIBLE:", what)
	}
	if len(v.Impossible) == 0 {
		_, err = fmt.Fprintln(w, "Never two geese.")
	}
	return err
}

func (r *Report) times(w io.Writer) {
	if r.Failover == nil && r.HandOff == nil && r.Pause == nil {
		return
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "ms\tn\tmin\tmedian\tp90\tp95\tp99\tmax\t")
	row := func(name string, d *Distribution) {
		if d != nil {
			fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", name, d.N, d.Min, d.Median, d.P90, d.P95, d.P99, d.Max)
		}
	}
	row("failover (kill -9)", r.Failover)
	row("hand-off gap (step-down)", r.HandOff)
	row("failover (kill -STOP)", r.Pause)
}

func (r *Report) costs(w io.Writer) {
	if r.Idle == nil {
		return
	}
	fmt.Fprintf(w, "\nidle for %.0f s, each second\t\t\t\t\t\t\t\t\n", r.Idle.Seconds)
	fmt.Fprintln(w, "agent\trole\tCPU % of a core\tRSS MB\tdatagrams out\tin\tbytes out\tin\t")
	for _, c := range append(r.Idle.Agents, r.Idle.Mean, r.Idle.Worst) {
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t\n",
			c.Name, c.Role, c.CPUPercent, c.RSSMB, c.SentPS, c.ReceivedPS, c.BytesOutPS, c.BytesInPS)
	}
}
