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

// scrapeAge is how long the result of one scrape answers further ones.
const scrapeAge = time.Second

// scrapes gathers metrics at most once per scrapeAge for any number of scrapes. All
// get the same bytes, so slow readers take no memory.
type scrapes struct {
	gather prometheus.Gatherer
	now    func() time.Duration
	last   struct { // guards what follows
		sync.Mutex
		texts map[expfmt.Format][]byte
		until time.Duration
	}
}

// Handler serves the collector's metrics and those of the process. It has its own
// registry, so that a program may have several agents.
func (c Collector) Handler() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &scrapes{gather: r, now: c.source.Now}
}

// formats are those that a scraper may ask for; the text format is the default.
var formats = []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText}

func (s *scrapes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	format := expfmt.NegotiateAccept(r.Header, formats...)
	text, err := s.text(format)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(format))
	_, _ = w.Write(text) // fails only when the reader has gone
}

// text returns all metrics. It leaves out what could not be gathered, and fails
// only if nothing could.
func (s *scrapes) text(format expfmt.Format) ([]byte, error) {
	last := &s.last
	last.Lock()
	defer last.Unlock()
	now := s.now()
	if now >= last.until {
		last.texts = nil
	}
	if text, ok := last.texts[format]; ok {
		return text, nil
	}
	families, err := s.gather.Gather()
	if len(families) == 0 && err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := expfmt.NewEncoder(&b, format)
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return nil, err
		}
	}
	if end, ok := enc.(expfmt.Closer); ok { // OpenMetrics ends with a line of its own
		if err := end.Close(); err != nil {
			return nil, err
		}
	}
	if last.texts == nil {
		last.texts, last.until = map[expfmt.Format][]byte{}, now+scrapeAge
	}
	last.texts[format] = b.Bytes()
	return b.Bytes(), nil
}
