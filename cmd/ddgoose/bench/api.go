package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"duckduckgoose/cmd/ddgoose/flock"
)

// APIOptions say how agents are asked.
type APIOptions struct {
	Flock    flock.Options
	Clients  int           // that ask at the same time
	For      time.Duration // how long each kind of question is asked
	Watchers []int         // how many watch one agent, one number after the other
	Changes  int           // of the goose, for each number of watchers
	Load     int           // busy processes per core beside the flock
	Seed     uint64
	Progress func(Progress)
}

// APIReport is how fast agents answer, and how fast many watchers hear of a new goose.
type APIReport struct {
	Setting
	Clients int          `json:"clients"`
	Asked   []AskedRate  `json:"asked"`
	Watched []FanOutTime `json:"watched"`
	Verdict
}

// AskedRate is how fast a duck answers one kind of question.
type AskedRate struct {
	What      string        `json:"what"`
	PerSecond float64       `json:"requests_per_s"`
	Latency   *Distribution `json:"latency_ms"`
	CPU       float64       `json:"agent_cpu_cores"`
}

// APIClients is how many ask at once unless told otherwise.
const APIClients = 8

const (
	askNew  = "GET /v1/status, a connection each"
	askKept = "GET /v1/status, kept connections"
	askDuck = "GET /duck, kept connections"
)

// API asks one duck of a flock, then has many watch it.
func API(ctx context.Context, o APIOptions) (r *APIReport, err error) {
	o.Flock.Extra = append(o.Flock.Extra, seeded(o.Seed)...)
	f, err := flock.Prepare(o.Flock)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.StartAll(); err != nil {
		return nil, err
	}
	w := newWatch(ctx, f, o.Seed)
	defer w.close()
	steps := &plan{show: o.Progress, parts: []part{{what: "waiting for the flock", times: 1, each: 2 * time.Second}}}
	for _, what := range []string{askNew, askKept, askDuck} {
		steps.parts = append(steps.parts, part{what: what, times: 1, each: o.For})
	}
	for _, n := range o.Watchers {
		steps.parts = append(steps.parts, part{what: watching(n), times: o.Changes, each: 2 * time.Second})
	}
	defer steps.follow(ctx)()
	steps.begin("waiting for the flock")
	if err := w.settled(ctx); err != nil {
		return nil, err
	}
	r = &APIReport{Setting: w.setting(&o.Flock, o.Load, o.Seed), Clients: o.Clients}
	spinning, err := spin(o.Load)
	if err != nil {
		return nil, err
	}
	defer spinning.close()
	duck, err := w.duck()
	if err != nil {
		return nil, err
	}
	kept := keptConnections(duck.Socket, o.Clients)
	defer kept.CloseIdleConnections()
	for _, q := range []struct {
		what string
		ask  func(context.Context) error
	}{
		{askNew, func(ctx context.Context) error {
			s, err := duck.Client().Status(ctx)
			w.judge.hear(&s)
			return err
		}},
		{askKept, func(ctx context.Context) error { return get(ctx, kept, "/v1/status") }},
		{askDuck, func(ctx context.Context) error { return get(ctx, kept, "/duck") }},
	} {
		steps.begin(q.what)
		rate, err := o.asked(ctx, duck, q.what, q.ask)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.what, err)
		}
		r.Asked = append(r.Asked, *rate)
	}
	for _, n := range o.Watchers {
		t, err := w.fanOut(ctx, steps, n, o.Changes)
		if err != nil {
			return nil, fmt.Errorf("%d watchers: %w%s", n, err, w.judge.text())
		}
		r.Watched = append(r.Watched, *t)
	}
	r.Impossible = w.judge.verdict()
	return r, nil
}

// duck returns an agent that is not the goose.
func (w *watch) duck() (*flock.Agent, error) {
	goose, _ := w.goose()
	for _, a := range w.f.Agents() {
		if a.Name != goose {
			return a, nil
		}
	}
	return nil, errors.New("every agent is the goose")
}

// keptConnections is a client that keeps up to n connections to a socket.
func keptConnections(socket string, n int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: n, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

func get(ctx context.Context, c *http.Client, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ddgoose"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the agent answered %s", resp.Status)
	}
	return nil
}

// asked has clients ask for a while, each as soon as it has its answer.
func (o *APIOptions) asked(ctx context.Context, a *flock.Agent, what string, ask func(context.Context) error) (*AskedRate, error) {
	cpu, _, err := a.Use()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	took, errs := make([][]time.Duration, o.Clients), make([]error, o.Clients)
	var asking sync.WaitGroup
	for i := range o.Clients {
		asking.Go(func() {
			for at := time.Now(); at.Sub(began) < o.For && errs[i] == nil; at = time.Now() {
				errs[i] = ask(ctx)
				took[i] = append(took[i], time.Since(at))
			}
		})
	}
	asking.Wait()
	lasted := time.Since(began).Seconds()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	after, _, err := a.Use()
	if err != nil {
		return nil, err
	}
	var all []time.Duration
	for _, t := range took {
		all = append(all, t...)
	}
	return &AskedRate{What: what, PerSecond: float64(len(all)) / lasted, Latency: distributionOf(all), CPU: (after - cpu).Seconds() / lasted}, nil
}

func (r *APIReport) tables() []table {
	asked := table{
		title:   fmt.Sprintf("a duck, asked by %d clients at once", r.Clients),
		columns: []string{"", "requests/s", "median ms", "p99 ms", "max ms", "agent's CPU, cores"},
	}
	for _, q := range r.Asked {
		asked.rows = append(asked.rows, append([]string{q.What}, row("%.0f %.2f %.2f %.2f %.2f", q.PerSecond, q.Latency.Median, q.Latency.P99, q.Latency.Max, q.CPU)...))
		asked.plots = append(asked.plots, histogram(q.What, q.Latency)...)
	}
	watched := table{
		title:   "a new goose, from the first watcher that hears of it, ms",
		columns: []string{"watchers", "changes", "half know, median", "all know, median", "all know, max"},
	}
	for _, t := range r.Watched {
		watched.rows = append(watched.rows, row("%d %d %.1f %.1f %.1f", t.Watchers, t.All.N, t.Half.Median, t.All.Median, t.All.Max))
	}
	watched.plots = []plot{bars("until all watchers know, median", "ms, by watchers", len(r.Watched), func(i int) (float64, string) {
		return r.Watched[i].All.Median, fmt.Sprint(r.Watched[i].Watchers)
	})}
	return []table{asked, watched}
}
