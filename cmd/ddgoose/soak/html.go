package soak

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"duckduckgoose/cmd/ddgoose/page"
)

//go:embed report.html.tmpl
var pageText string

var report = template.Must(template.New("report").Funcs(template.FuncMap{
	"clock": clock, "short": short, "style": page.Style,
	"lasts": func(s *Struck) time.Duration { return s.To - s.From },
	"kilo":  func(n float64) float64 { return n / 1000 },
	"ms":    shortMS,
	"round": func(d time.Duration) string { return d.Round(time.Second).String() },
	"thousands": func(n int) string {
		text := fmt.Sprint(n)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "\u202f" + text[i:]
		}
		return text
	},
	"share": func(part, whole float64) string { return fmt.Sprintf("%.1f%%", 100*part/max(whole, 1e-9)) },
}).Parse(pageText))

// HTML writes the report as one self-contained page.
func (r *Report) HTML(w io.Writer) error { return report.Execute(w, r) }

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

// ScenarioText returns the scenario as YAML.
func (r *Report) ScenarioText() (string, error) {
	text, err := yaml.Marshal(r.Scenario)
	return string(text), err
}
