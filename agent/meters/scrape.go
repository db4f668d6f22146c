package meters

import (
	"bytes"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// scrapeAge is how long one scrape is the answer to all.
const scrapeAge = time.Second

// scrapes answers any number of scrapes with the work of one a second. All of
// them read the same bytes, so those that read slowly hold no memory.
type scrapes struct {
	gather prometheus.Gatherer
	now    func() time.Duration
	last   struct { // guards what follows
		sync.Mutex
		text  []byte
		until time.Duration
	}
}

// Handler serves the collector's metrics and those of the process. Its registry
// is its own, so that a program may hold several agents.
func (c Collector) Handler() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &scrapes{gather: r, now: c.source.Now}
}

func (s *scrapes) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	text, err := s.text()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	_, _ = w.Write(text) // the reader may have gone: nobody is left to tell
}

// text gives all metrics. What could not be gathered is left out, unless that is all.
func (s *scrapes) text() ([]byte, error) {
	last := &s.last
	last.Lock()
	defer last.Unlock()
	now := s.now()
	if last.text != nil && now < last.until {
		return last.text, nil
	}
	families, err := s.gather.Gather()
	if len(families) == 0 && err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return nil, err
		}
	}
	last.text, last.until = b.Bytes(), now+scrapeAge
	return last.text, nil
}
