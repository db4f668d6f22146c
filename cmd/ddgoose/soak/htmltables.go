package soak

import (
	"fmt"

	"duckduckgoose/netem/check"
)

// numbers shows the times without a goose, the faults and the traffic.
func (p *pageOf) numbers() {
	d := &p.Leaderless
	p.Printf(`<div class="two">
<section id="leaderless"><h2>How long there was no goose</h2>
<p class="soft">%s, %s in all; 90 %% lasted at most %s, 99 %% at most %s. The longest lease was %s. When a majority of voters can talk, a goose is due within %s (P4).</p>
%s</section>
`, check.Count(d.N, "gap"), shortMS(d.Sum), shortMS(d.P90), shortMS(d.P99), short(p.Lease), short(p.Bound), p.Histogram())
	p.Printf(`<section id="causes"><h2>By cause</h2>
<div class="scroll"><table><tr><th>cause<th class="n">failovers<th class="n">gaps<th class="n">median<th class="n">90 %%<th class="n">worst<th class="n">in all</tr>
`)
	for i := range p.Causes {
		c := &p.Causes[i]
		p.Printf(`<tr><td>%s<td class="n">%d<td class="n">%d<td class="n">%s<td class="n">%s<td class="n">%s<td class="n">%s</tr>
`, c.Cause, c.Failovers, c.Times.N, shortMS(c.Times.Median), shortMS(c.Times.P90), shortMS(c.Times.Max), shortMS(c.Times.Sum))
	}
	p.Printf(`</table></div></section>
<section id="faults"><h2>Faults</h2>
<table><tr><th>kind<th class="n">injected<th class="n">refused by the flock<th class="n">skipped</tr>
`)
	for _, t := range p.Tallies() {
		p.Printf("<tr><td>%s<td class=\"n\">%d<td class=\"n\">%d<td class=\"n\">%d</tr>\n", t.Kind, t.Struck, t.Refused, t.Skipped)
	}
	p.Printf(`</table></section>
<section id="traffic"><h2>Traffic of the election</h2>
<div class="scroll"><table><tr><th>agent<th><th class="n">sent/s<th class="n">received/s<th class="n">kB/s out<th class="n">kB/s in</tr>
`)
	most := max(p.MostSent(), 1e-9)
	for i := range p.Traffic {
		t := &p.Traffic[i]
		p.Printf(`<tr><td>%s<td><div class="meter"><i style="width:%.1f%%"></i></div><td class="n">%.1f<td class="n">%.1f<td class="n">%.2f<td class="n">%.2f</tr>
`, t.Agent, 100*t.Sent/most, t.Sent, t.Received, t.SentBytes/1000, t.GotBytes/1000)
	}
	p.Printf("</table></div></section>\n</div>\n\n")
}

// growth shows what the processes used over the run.
func (p *pageOf) growth() {
	judged := ""
	if p.LivesLong > 0 {
		judged = fmt.Sprintf(" %s ran for %.0f minutes or longer", check.Count(p.LivesLong, "process"), leakLife.Minutes())
		if len(p.Leaks) == 0 {
			judged += ": none grew"
		}
		judged += "."
	}
	p.Printf(`<section id="memory"><h2>Memory</h2>
<p class="soft">Resident memory of every agent over the run; each line is one process.%s</p>
<div class="sparks">`, judged)
	p.sparks(p.Memory())
	p.Printf(`</div></section>
<section id="goroutines"><h2>Goroutines</h2>
<div class="sparks" style="margin-top:10px">`)
	p.sparks(p.Goroutines())
	p.Printf("</div></section>\n\n")
}

func (p *pageOf) sparks(all []Chart) {
	for i := range all {
		p.Printf("<figure>%s<figcaption><b>%s</b> %s</figcaption></figure>", all[i].SVG, all[i].Title, all[i].Range)
	}
}

func (p *pageOf) fencedFile() {
	h, none := p.History, ""
	if len(h.Broken) == 0 {
		none = " No write was accepted under a lower token than an earlier one."
	}
	p.Printf(`<section><h2>The fenced file</h2>
<p>Every goose wrote to one file that accepts only tokens that grow. It accepted %s writes under %s tokens, and refused %s late ones. A late write comes from a writer that was stopped between check and write; no lease prevents it, only the token.%s</p>
`, thousands(h.Accepted), thousands(h.Tokens), thousands(h.Refused), none)
	if len(p.Notes) > 0 {
		p.Printf("<h2>Notes</h2><ul>")
		for _, n := range p.Notes {
			p.Printf("<li>%s</li>", n)
		}
		p.Printf("</ul>")
	}
	p.Printf("</section>\n\n")
}

func (p *pageOf) faults() {
	p.Printf(`<section><details><summary>All faults in order</summary><div class="scroll"><table><tr><th>at<th>kind<th>agent<th>detail<th class="n">lasted<th>remark</tr>
`)
	for _, s := range p.Struck {
		goose, remark := "", ""
		if s.Goose {
			goose = " (goose)"
		}
		if s.Skipped != "" {
			remark = "skipped: " + s.Skipped
		}
		if s.Refused != "" {
			remark += "refused: " + s.Refused
		}
		p.Printf("<tr><td>%s<td>%s<td>%s%s<td>%s<td class=\"n\">%s<td>%s</tr>\n", clock(s.From), s.Kind, s.Agent, goose, s.Detail, short(s.To-s.From), remark)
	}
	p.Printf("</table></div></details></section>\n")
}

// thousands writes a number with a narrow space before each three digits.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}
