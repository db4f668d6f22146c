package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	fmt.Fprintf(w, "%d agents, heartbeat %v ms, lease %v ms\n\n", r.Agents, r.HeartbeatMS, r.LeaseMS)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if r.Failover != nil || r.HandOff != nil {
		fmt.Fprintln(t, "ms\tn\tmin\tmedian\tp90\tp95\tp99\tmax\t")
		row := func(name string, d *Distribution) {
			if d != nil {
				fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", name, d.N, d.Min, d.Median, d.P90, d.P95, d.P99, d.Max)
			}
		}
		row("failover (kill -9)", r.Failover)
		row("hand-off gap (step-down)", r.HandOff)
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if r.Idle == nil {
		return nil
	}
	fmt.Fprintf(w, "\nidle for %.0f s\n", r.Idle.Seconds)
	fmt.Fprintln(t, "agent\trole\tCPU % of a core\tRSS MB\tdatagrams/s\tsent/s\tbytes/s\t")
	for _, c := range append(r.Idle.Agents, r.Idle.Mean, r.Idle.Worst) {
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.1f\t%.1f\t%.1f\t%.0f\t\n", c.Name, c.Role, c.CPUPercent, c.RSSMB, c.DatagramsPS, c.SentPS, c.BytesPS)
	}
	return t.Flush()
}
