package meters

import (
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// gatherer counts how often it gathers.
type gatherer struct{ times int }

func (g *gatherer) Gather() ([]*dto.MetricFamily, error) {
	g.times++
	name, value := "ddgoose_times", float64(g.times)
	return []*dto.MetricFamily{{
		Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}},
	}}, nil
}

func TestAnyNumberOfScrapesGatherOnceASecond(t *testing.T) {
	var g gatherer
	now := time.Duration(0)
	s := &scrapes{gather: &g, now: func() time.Duration { return now }}
	scrape := func() string {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { scrape() })
	}
	all.Wait()
	require.Equal(t, 1, g.times)
	require.Equal(t, "# TYPE ddgoose_times gauge\nddgoose_times 1\n", scrape())
	now += scrapeAge
	require.Contains(t, scrape(), "ddgoose_times 2")

	open := httptest.NewRequest("GET", "/metrics", nil)
	open.Header.Set("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, open)
	require.Contains(t, w.Header().Get("Content-Type"), "application/openmetrics-text; version=1.0.0")
	require.Equal(t, "# TYPE ddgoose_times gauge\nddgoose_times 3.0\n# EOF\n", w.Body.String())
}
