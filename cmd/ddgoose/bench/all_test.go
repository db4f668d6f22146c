package bench

import (
	"bytes"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// quickReport is a report as All makes it with Quick, of the same time and cost everywhere.
func quickReport() *AllReport {
	d := distributionOf([]time.Duration{time.Millisecond})
	ratio := 1.5
	r := &AllReport{
		Machine: machine(), Start: &StartReport{}, API: &APIReport{}, Scale: &ScaleReport{}, Elections: &ElectionsReport{},
		Flock: &Report{
			Setting: Setting{Agents: 5, HeartbeatMS: 50, LeaseMS: 500}, Failover: d, HandOff: d,
			Idle: &Idle{Agents: []AgentCost{{Role: "goose"}, {Role: "duck"}, {Role: "duck"}}},
		},
		Will: &Report{Failover: d},
	}
	for _, n := range startSizes {
		r.Start.Flocks = append(r.Start.Flocks, StartTime{n, d})
	}
	for _, n := range quickly.watchers {
		r.API.Watched = append(r.API.Watched, FanOutTime{n, d, d})
	}
	for _, what := range []string{askNew, askKept, askDuck} {
		r.API.Asked = append(r.API.Asked, AskedRate{What: what, Latency: d})
	}
	for _, n := range quickly.sizes {
		r.Scale.Flocks = append(r.Scale.Flocks, ScaleCost{Agents: n, Known: d})
	}
	r.Elections.Flocks = []ElectionsCost{{Elections: 1}, {Elections: 5}, {Elections: allElections}}
	r.Elections.compare()
	for i := range r.Elections.Ratios {
		r.Elections.Ratios[i].Ratio = &ratio
	}
	return r
}

// TestTheHandbookHasWhatAllPrints compares everything but the numbers, the machine and the version.
func TestTheHandbookHasWhatAllPrints(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: there are no wardens on " + runtime.GOOS)
	}
	var b bytes.Buffer
	require.NoError(t, Markdown(&b, quickReport()))
	handbook, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(handbook), "<!-- bench -->\n")
	printed, _, found := strings.Cut(rest, "<!-- end -->")
	require.True(t, found)
	shape := func(text string) []string {
		text = regexp.MustCompile(`(?m) on .*, version \w*`).ReplaceAllString(text, " on M, version V")
		return strings.Split(strings.TrimSpace(regexp.MustCompile(`\d+(\.\d+)?`).ReplaceAllString(text, "N")), "\n")
	}
	require.Equal(t, shape(b.String()), shape(printed), "paste what ddgoose bench all --quick prints")
	for _, n := range []string{"new flock of 7", "| 1000 watchers", "| 50 agents", "| 100 elections for 1"} {
		require.Contains(t, printed, n)
	}
}
