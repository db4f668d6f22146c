package bench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"duckduckgoose/cmd/ddgoose/page"
)

// Result is what a bench has measured. Its JSON is for programs.
type Result interface {
	// Breaches are the promises that were seen to be broken.
	Breaches() []string
	heading() string
	tables() []table
}

// table is a part of a result for people.
type table struct {
	title   string
	columns []string // nil: there are only notes
	rows    [][]string
	notes   []string
	plots   []plot
}

// plot is a drawing of what a table sums up, for a page.
type plot struct {
	Title string
	SVG   page.HTML
}

// row writes a row of a table: numbers with as many digits as their column has.
func row(format string, values ...any) []string {
	return strings.Split(fmt.Sprintf(strings.Join(strings.Fields(format), "\t"), values...), "\t")
}

// Text writes a result for people.
func Text(w io.Writer, r Result) error {
	fmt.Fprintln(w, r.heading())
	for _, t := range r.tables() {
		fmt.Fprintf(w, "\n%s\n", t.title)
		if t.columns != nil {
			tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
			for _, cells := range append([][]string{t.columns}, t.rows...) {
				fmt.Fprintln(tw, strings.Join(cells, "\t")+"\t")
			}
			if err := tw.Flush(); err != nil {
				return err
			}
		}
		for _, n := range t.notes {
			fmt.Fprintln(w, n)
		}
	}
	_, err := fmt.Fprintln(w, "\n"+verdict(r))
	return err
}

// verdict says what was seen of the promises.
func verdict(r Result) string {
	if broken := r.Breaches(); len(broken) > 0 {
		return "BROKEN: " + strings.Join(broken, "\nBROKEN: ")
	}
	return "Never two geese."
}

// Markdown writes the tables of a result as Markdown.
func Markdown(w io.Writer, r Result) error {
	fmt.Fprintf(w, "%s\n", r.heading())
	for _, t := range r.tables() {
		fmt.Fprintf(w, "\n%s\n\n", t.title)
		for i, cells := range append([][]string{t.columns}, t.rows...) {
			fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
			if i == 0 {
				fmt.Fprintln(w, "|---"+strings.Repeat("|--:", len(t.columns)-1)+"|")
			}
		}
		for _, n := range t.notes {
			fmt.Fprintf(w, "\n%s\n", n)
		}
	}
	_, err := fmt.Fprintln(w, "\n"+verdict(r))
	return err
}

// Page writes a result as one page that needs nothing beside it. What: the command.
func Page(w io.Writer, r Result, what, version string, at time.Time) error {
	var p page.Builder
	p.Begin(what)
	class, word := "verdict good", "never two geese"
	if len(r.Breaches()) > 0 {
		class, word = "verdict", "a promise was broken"
	}
	p.Printf("<header>\n  <h1>%s</h1>\n  <span class=\"%s\" id=\"verdict\">%s</span>\n", what, class, word)
	p.Printf("  <span class=\"soft\">%s · %s · version %s</span>\n</header>\n", r.heading(), at.UTC().Format("2 January 2006, 15:04 UTC"), version)
	if len(r.Breaches()) > 0 {
		p.Printf("<section class=\"broken\"><h2>Broken promises</h2><ul>")
		for _, text := range r.Breaches() {
			p.Printf("<li>%s</li>", text)
		}
		p.Printf("</ul></section>\n")
	}
	for _, t := range r.tables() {
		t.section(&p)
	}
	return p.End(w)
}

// section writes a table, its notes and its plots.
func (t *table) section(p *page.Builder) {
	p.Printf("<section><h2>%s</h2>\n", t.title)
	if t.columns != nil {
		p.Printf("<div class=\"scroll\"><table>")
		for i, cells := range append([][]string{t.columns}, t.rows...) {
			tag := page.HTML("td")
			if i == 0 {
				tag = "th"
			}
			p.Printf("<tr>")
			for k, cell := range cells {
				class := page.HTML(` class="n"`)
				if k == 0 {
					class = ""
				}
				p.Printf("<%s%s>%s", tag, class, cell)
			}
			p.Printf("</tr>\n")
		}
		p.Printf("</table></div>")
	}
	for _, n := range t.notes {
		p.Printf("<p class=\"soft\">%s</p>\n", n)
	}
	if len(t.plots) > 0 {
		p.Printf("<div class=\"two\">")
		for _, plot := range t.plots {
			p.Printf("<figure><figcaption class=\"soft\">%s</figcaption>%s</figure>\n", plot.Title, plot.SVG)
		}
		p.Printf("</div>")
	}
	p.Printf("</section>\n")
}

// binsOf is how many bars a histogram has.
const binsOf = 16

// histogram draws how often samples, in ms, were how large; no plot for none.
func histogram(title string, d *Distribution) []plot {
	if d == nil || len(d.samples) == 0 {
		return nil
	}
	least, step := d.Min, (d.Max-d.Min)/binsOf
	if step == 0 {
		step = math.Max(least, 1) / binsOf
	}
	bars := make([]page.Bar, binsOf)
	for i := range bars {
		from, to := least+float64(i)*step, least+float64(i+1)*step
		bars[i].Title, bars[i].Edge = fmt.Sprintf("%.1f to %.1f ms", from, to), fmt.Sprintf("%.4g", to)
	}
	for _, s := range d.samples {
		bars[min(int((ms(s)-least)/step), binsOf-1)].Value++
	}
	return []plot{{title, page.Bars(title, "ms", bars)}}
}

// bars draws one bar for each row of a table.
func bars(title, unit string, n int, of func(i int) (value float64, edge string)) plot {
	all := make([]page.Bar, n)
	for i := range all {
		all[i].Value, all[i].Edge = of(i)
		all[i].Title = all[i].Edge
	}
	return plot{title, page.Bars(title, unit, all)}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (s *Setting) heading() string { return fmt.Sprintf("%d agents, ", s.Agents) + s.conditions() }

// conditions are the same for flocks of any size.
func (s *Setting) conditions() string {
	text := fmt.Sprintf("heartbeat %vms, lease %vms", s.HeartbeatMS, s.LeaseMS)
	if s.AutoLease {
		text += " (--lease auto)"
	}
	if s.Netem != "" {
		text += ", network " + s.Netem
	}
	if s.Load > 0 {
		text += fmt.Sprintf(", beside %d busy processes per core", s.Load)
	}
	return text
}

var distributionColumns = []string{"n", "min", "median", "p90", "p95", "p99", "max"}

// cells are the distribution's columns.
func (d *Distribution) cells() []string {
	return row("%d %.1f %.1f %.1f %.1f %.1f %.1f", d.N, d.Min, d.Median, d.P90, d.P95, d.P99, d.Max)
}

// distributions is a table of those that are there.
func distributions(title string, names []string, all []*Distribution) (tables []table) {
	t := table{title: title, columns: append([]string{""}, distributionColumns...)}
	for i, d := range all {
		if d != nil {
			t.rows = append(t.rows, append([]string{names[i]}, d.cells()...))
			t.plots = append(t.plots, histogram(names[i], d)...)
		}
	}
	if t.rows == nil {
		return nil
	}
	return []table{t}
}

func (r *Report) tables() (all []table) {
	all = distributions("ms",
		[]string{r.failover(), "hand-off gap (step-down)", "failover (kill -STOP)"}, []*Distribution{r.Failover, r.HandOff, r.Pause})
	if r.Samples > 0 {
		all[0].notes = append(all[0].notes, fmt.Sprintf("%d answers were taken while geese were paused", r.Samples))
	}
	if r.Idle != nil {
		all = append(all, r.Idle.table())
	}
	if l := r.Leases; l != nil {
		all = append(all, table{title: "--lease auto", notes: []string{fmt.Sprintf("geese had leases of %v to %v ms, and of %v ms at the end", l.Min, l.Max, l.Last)}})
	}
	if s := r.Steady; s != nil {
		all = append(all, table{title: fmt.Sprintf("steady for %.0f s", s.Seconds), notes: []string{
			fmt.Sprintf("%d changes of the goose and %d lapses of a lease that nobody caused (%d of them excused)", s.Changes, s.Lapses, s.Excused),
			fmt.Sprintf("the harness itself stalled %d times for more than 100ms, at worst for %.0fms", s.Stalls, s.WorstStall),
		}})
	}
	return all
}

func (i *Idle) table() table {
	t := table{
		title:   fmt.Sprintf("idle for %.0f s, each second", i.Seconds),
		columns: []string{"agent", "role", "CPU % of a core", "RSS MB", "datagrams out", "in", "bytes out", "in"},
	}
	for _, c := range append(i.Agents, i.Mean, i.Worst) {
		t.rows = append(t.rows, append([]string{c.Name, c.Role}, row("%.2f %.1f %.1f %.1f %.0f %.0f",
			c.CPUPercent, c.RSSMB, c.SentPS, c.ReceivedPS, c.BytesOutPS, c.BytesInPS)...))
	}
	t.plots = []plot{
		bars("CPU", "% of a core", len(i.Agents), func(k int) (float64, string) { return i.Agents[k].CPUPercent, i.Agents[k].Name }),
		bars("resident memory", "MB", len(i.Agents), func(k int) (float64, string) { return i.Agents[k].RSSMB, i.Agents[k].Name }),
	}
	return t
}

func (r *StartReport) heading() string { return "new flocks, " + r.conditions() }

func (r *StartReport) tables() []table {
	var names []string
	var all []*Distribution
	for _, s := range r.Flocks {
		names, all = append(names, fmt.Sprintf("%d agents", s.Agents)), append(all, s.Time)
	}
	return distributions("from the first process until a majority names a goose, ms", names, all)
}

func (r *ElectionsReport) tables() []table {
	t := table{
		title:   "all agents together, each second",
		columns: []string{"elections", "geese per agent", "datagrams", "bytes", "CPU s", "settled in s", "changes"},
	}
	for _, c := range r.Flocks {
		t.rows = append(t.rows, append([]string{fmt.Sprint(c.Elections), fmt.Sprintf("%d to %d", c.Geese[0], c.Geese[len(c.Geese)-1])},
			row("%.1f %.0f %.4f %.1f %d", c.Datagrams, c.Bytes, c.CPU, c.SettledMS/1000, c.Changes)...))
	}
	t.notes = []string{fmt.Sprintf("%d lists of elections that agents answered were checked", r.Lists)}
	of := func(what string, value func(*ElectionsCost) float64) plot {
		return bars(what+" by elections", what+" a second", len(r.Flocks), func(i int) (float64, string) {
			return value(&r.Flocks[i]), fmt.Sprint(r.Flocks[i].Elections)
		})
	}
	t.plots = []plot{of("CPU s", func(c *ElectionsCost) float64 { return c.CPU }), of("datagrams", func(c *ElectionsCost) float64 { return c.Datagrams })}
	ratios := table{title: "cost of more elections, compared with fewer", columns: []string{"elections", "to", "what", "ratio", "target", ""}}
	for _, q := range r.Ratios {
		ratio, met := "-", "missed"
		if q.Ratio != nil {
			ratio = fmt.Sprintf("%.2f", *q.Ratio)
		}
		if q.Met {
			met = "met"
		}
		ratios.rows = append(ratios.rows, []string{fmt.Sprint(q.Of), fmt.Sprint(q.To), q.What, ratio, fmt.Sprintf("%.2f", q.Target), met})
	}
	return []table{t, ratios}
}
