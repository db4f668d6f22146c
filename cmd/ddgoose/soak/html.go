package soak

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"duckduckgoose/cmd/ddgoose/page"
)

// HTML writes the report as one self-contained page.
func (r *Report) HTML(w io.Writer) error {
	scenario, err := yaml.Marshal(r.Scenario)
	if err != nil {
		return err
	}
	flags := ""
	if r.Warden {
		flags += " --warden"
	}
	if r.AutoLease {
		flags += " --lease auto"
	}
	p := &pageOf{Report: r}
	p.Begin(fmt.Sprintf("Soak, seed %d: %s", r.Seed, r.Headline()))
	p.header()
	p.promises()
	p.tiles()
	p.failures()
	p.timeline()
	p.numbers()
	p.growth()
	p.fencedFile()
	p.faults()
	p.Printf("<section><details><summary>The scenario</summary><pre>%s</pre></details></section>\n", scenario)
	p.Printf(`<p class="soft" style="margin-top:18px">Run the same plan again: <code>ddgoose soak --agents %d --for %s --seed %d%s</code>. Which agents the faults hit depends on who is the goose then.</p>
`, len(r.Agents), r.Asked, r.Seed, flags)
	return p.End(w)
}

// pageOf is the page of a report.
type pageOf struct {
	*Report
	page.Builder
}

func (p *pageOf) header() {
	p.Printf(`<header>
  <h1>DuckDuckGoose soak</h1>
  <span class="verdict %s" id="verdict">%s</span>
  <span class="soft">%d agents for %s, seed %d · %s · version %s</span>
</header>

`, p.Verdict, p.Headline(), len(p.Agents), p.Lasted.Round(time.Second), p.Seed, p.Started.Format("2 January 2006, 15:04 UTC"), p.Version)
}

func (p *pageOf) promises() {
	p.Printf("<section id=\"promises\"><h2>The promises</h2>\n<table>")
	for _, v := range p.Promises() {
		class := "soft"
		switch {
		case v.Broken > 0:
			class = "lost"
		case v.Seen:
			class = "kept"
		}
		p.Printf("<tr><td>%s<td>%s<td class=\"%s\">%s</tr>\n", v.ID, v.Text, class, v.Word())
	}
	p.Printf("</table></section>\n\n")
}

func (p *pageOf) tiles() {
	p.Printf("<div class=\"tiles\" id=\"tiles\">\n")
	tile := func(value, format string, args ...any) {
		p.Printf("  <div class=\"tile\"><b>%s</b><span>%s</span></div>\n", value, fmt.Sprintf(format, args...))
	}
	tile(thousands(p.Total()), "faults injected")
	tile(thousands(p.Periods), "goose periods, %s failovers", thousands(p.Failovers))
	tile(shortMS(p.Leaderless.Median), "without a goose, median; worst %s", shortMS(p.Leaderless.Max))
	tile(thousands(p.History.Accepted), "fenced writes, %s late ones refused", thousands(p.History.Refused))
	tile(fmt.Sprintf("%.2f %%", p.Availability()), "of the time with faults there was a goose")
	tile(thousands(p.Events), "events checked, %d broke a promise", len(p.Violations))
	p.Printf("</div>\n\n")
}

// failures shows what should not be there.
func (p *pageOf) failures() {
	if len(p.Violations) > 0 {
		p.Printf("<section class=\"broken\" id=\"violations\"><h2>Broken promises</h2>\n<table><tr><th>promise<th>at<th>what happened</tr>\n")
		for _, v := range p.Shown() {
			p.Printf("<tr><td>%s<td>%s<td>%s</tr>\n", v.Promise, clock(v.At), v.Text)
		}
		p.Printf("</table>")
		if len(p.Violations) > len(p.Shown()) {
			p.Printf("<p class=\"soft\">The first %d of %d.</p>", len(p.Shown()), len(p.Violations))
		}
		p.Printf("</section>\n")
	}
	for i := range p.Crashes {
		c := &p.Crashes[i]
		of := ""
		if c.Agent != "" {
			of = "of " + c.Agent + " "
		}
		p.Printf("<section class=\"broken\"><h2>Crash %sat %s</h2><p>%s</p><pre>%s</pre></section>\n", of, clock(c.At), c.How, c.Log)
	}
	if len(p.Leaks) > 0 {
		p.Printf(`<section class="broken"><h2>Growing processes</h2>
<table><tr><th>agent<th>what<th class="n">from<th class="n">to<th class="n">over</tr>
`)
		for i := range p.Leaks {
			l := &p.Leaks[i]
			p.Printf("<tr><td>%s<td>%s<td class=\"n\">%.1f<td class=\"n\">%.1f<td class=\"n\">%s</tr>\n", l.Agent, l.What, l.From, l.To, l.Over.Round(time.Second))
		}
		p.Printf("</table></section>\n")
	}
}

// stripsOpen is how many strips are shown at once.
const stripsOpen = 12

func (p *pageOf) timeline() {
	p.Printf(`
<section id="timeline">
<h2>Who was the goose, and which faults were injected</h2>
<div class="legend">
  <span><i style="background:var(--goose)"></i>goose</span><span><i style="background:var(--duck)"></i>duck</span><span><i style="background:var(--candidate)"></i>candidate</span>
  <span><i style="background:var(--dead)"></i>simulated death</span><span><i style="background:var(--down)"></i>not running</span><span><i style="background:var(--gap)"></i>no goose</span>
  <span><i style="background:var(--part)"></i>partition</span><span><i style="background:var(--net)"></i>bad network</span>
  <span><i class="o" style="border-color:var(--kill)"></i>killed, stopped, wiped, left</span><span><i class="o" style="border-color:var(--pause)"></i>paused, suspended, told to simulate death</span><span><i class="o" style="border-color:var(--other)"></i>step-down, writer killed or paused</span>
  <span><i style="background:var(--bad)"></i>promise broken, crash</span><span><i style="background:var(--stall)"></i>this machine stalled</span>
</div>
<div class="scroll">%s</div>
`, p.Overview())
	if strips := p.Strips(); len(strips) > 0 {
		open := page.HTML("")
		if len(strips) <= stripsOpen {
			open = " open"
		}
		p.Printf("<details%s style=\"margin-top:16px\"><summary>In detail</summary>\n<div class=\"scroll\">", open)
		for _, s := range strips {
			p.Printf("%s", s)
		}
		p.Printf("</div></details>")
	}
	p.Printf("\n</section>\n\n")
}

// maxShown bounds the violations on the page.
const maxShown = 20

// Shown returns the first violations; report.json has more.
func (r *Report) Shown() []Violation { return r.Violations[:min(len(r.Violations), maxShown)] }

// Tally is how often a kind of fault was injected.
type Tally struct {
	Kind                     string
	Struck, Refused, Skipped int
}

// Tallies counts the faults by kind, the most frequent first.
func (r *Report) Tallies() []*Tally {
	by := map[string]*Tally{}
	for _, s := range r.Struck {
		t := by[s.Kind]
		if t == nil {
			t = &Tally{Kind: s.Kind}
			by[s.Kind] = t
		}
		switch {
		case s.Skipped != "":
			t.Skipped++
		case s.Refused != "":
			t.Refused++
		default:
			t.Struck++
		}
	}
	return slices.SortedFunc(maps.Values(by), func(a, b *Tally) int {
		return cmp.Or(b.Struck-a.Struck, cmp.Compare(a.Kind, b.Kind))
	})
}

// Total counts the injected faults.
func (r *Report) Total() (n int) {
	for _, k := range r.Counts {
		n += k
	}
	return n
}

// MostSent is the highest rate of sent datagrams, for the scale of the bars.
func (r *Report) MostSent() (most float64) {
	for _, t := range r.Traffic {
		most = max(most, t.Sent)
	}
	return most
}
