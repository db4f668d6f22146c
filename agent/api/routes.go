package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Scope says which routes a server has.
type Scope int

const (
	// Local is everything, for the unix socket.
	Local Scope = iota
	// Public is what may be read over --http: GET, HEAD and OPTIONS only.
	Public
)

// route is one path's answers, by method. HEAD is GET without its body. OPTIONS lists
// the methods; on a probe it asks the same question as GET.
type route struct {
	on     methods
	public bool // offered over --http
	probe  bool // load balancers ask by their method of choice
	closed bool // only callers that may change something may read it
}

// routes has every path. serve checks the methods, and nothing else does.
var routes = map[string]route{
	"/goose":   {on: get(byQuery((*handler).goose)), public: true, probe: true},
	"/duck":    {on: get(byQuery((*handler).duck)), public: true, probe: true},
	"/healthz": {on: get((*handler).healthz), public: true, probe: true},
	"/readyz":  {on: get((*handler).readyz), public: true, probe: true},
	// As Patroni names them: its balancer templates work unchanged.
	"/primary": {on: get(byQuery((*handler).goose)), public: true, probe: true},
	"/leader":  {on: get(byQuery((*handler).goose)), public: true, probe: true},
	"/replica": {on: get(byQuery((*handler).duck)), public: true, probe: true},
	"/metrics": {on: get((*handler).metrics), public: true},

	"/v1/status":    {on: get(byDefault((*handler).status)), public: true},
	"/v1/watch":     {on: get(byDefault((*handler).watch))},
	"/v1/why":       {on: get(byDefault((*handler).why))},
	"/v1/history":   {on: get(byDefault((*handler).history))},
	"/v1/lead":      {on: post(byDefault((*handler).lead))},
	"/v1/step-down": {on: post(byDefault((*handler).stepDown))},

	"/v1/mark": {on: methods{
		http.MethodGet: byDefault((*handler).mark), http.MethodPost: byDefault((*handler).advance),
	}},

	"/v1/elections": {on: get((*handler).elections), public: true},
	"/v1/elections/" + electionName + "/status":    {on: get(byPath((*handler).status)), public: true},
	"/v1/elections/" + electionName + "/watch":     {on: get(byPath((*handler).watch))},
	"/v1/elections/" + electionName + "/why":       {on: get(byPath((*handler).why))},
	"/v1/elections/" + electionName + "/history":   {on: get(byPath((*handler).history))},
	"/v1/elections/" + electionName + "/lead":      {on: post(byPath((*handler).lead))},
	"/v1/elections/" + electionName + "/step-down": {on: post(byPath((*handler).stepDown))},

	"/v1/elections/" + electionName + "/mark": {on: methods{
		http.MethodGet: byPath((*handler).mark), http.MethodPost: byPath((*handler).advance),
	}},

	"/v1/members":            {on: get((*handler).members), public: true},
	"/v1/freeze":             {on: post(command((*handler).freeze))},
	"/v1/thaw":               {on: post(command((*handler).thaw))},
	"/v1/leave":              {on: post(command((*handler).leave))},
	"/v1/force-leave":        {on: post(command((*handler).forceLeave))},
	"/v1/join":               {on: post(command((*handler).join))},
	"/v1/simulate/death":     {on: post(command((*handler).die))},
	"/v1/simulate/revive":    {on: post(command((*handler).revive))},
	"/v1/doctor":             {on: post(command((*handler).doctor))},
	"/v1/keys":               {on: get((*handler).keysList), closed: true},
	"/v1/keys/install":       {on: post(command((*handler).keyInstall))},
	"/v1/keys/use":           {on: post(command((*handler).keyUse))},
	"/v1/keys/remove":        {on: post(command((*handler).keyRemove))},
	"/debug/pprof/profile":   {on: get((*handler).cpuProfile), closed: true},
	"/debug/pprof/heap":      {on: get(profile("heap")), closed: true},
	"/debug/pprof/allocs":    {on: get(profile("allocs")), closed: true},
	"/debug/pprof/goroutine": {on: get(profile("goroutine")), closed: true},
	"/v1/netem": {on: methods{
		http.MethodGet:    (*handler).netemShow,
		http.MethodPut:    (*handler).netemSet,
		http.MethodDelete: (*handler).netemClear,
	}},
}

type (
	methods = map[string]routeDo
	routeDo = func(*handler, http.ResponseWriter, *http.Request) error
)

func get(do routeDo) methods  { return methods{http.MethodGet: do} }
func post(do routeDo) methods { return methods{http.MethodPost: do} }

// allow returns the Allow header of a route.
func (r *route) allow() string {
	all := []string{http.MethodOptions}
	for m := range r.on {
		all = append(all, m)
		if m == http.MethodGet {
			all = append(all, http.MethodHead)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// handler answers requests about one backend.
type handler struct {
	b        Backend
	scope    Scope
	clock    func() time.Duration
	closing  chan struct{}  // closed when streams must end
	linger   sync.WaitGroup // holders whose connection is gone and who may still act
	requests struct {       // those under way; guards over
		sync.Mutex
		sync.WaitGroup
		over bool
	}
}

// begin registers a request, unless the server has closed.
func (h *handler) begin() bool {
	h.requests.Lock()
	defer h.requests.Unlock()
	if !h.requests.over {
		h.requests.Add(1)
	}
	return !h.requests.over
}

// whileOpen returns a context that ends with ctx, with the server, or at stop.
func (h *handler) whileOpen(ctx context.Context) (open context.Context, stop func()) {
	open, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-h.closing:
			cancel()
		case <-open.Done():
		}
	}()
	return open, func() {
		cancel()
		<-ended
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.begin() {
		return
	}
	defer h.requests.Done()
	if g, ok := r.Context().Value(serverConnKey{}).(*serverConn); ok {
		g.answers(true)
	}
	w.Header().Set("Cache-Control", "no-store") // true at the moment of the answer only
	if err := h.serve(w, r); err != nil {
		writeError(w, err)
	}
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) error {
	path, _ := routeOf(r.URL)
	route, ok := routes[path]
	if !ok || h.scope == Public && !route.public {
		return h.unknown(r.URL.Path)
	}
	method := r.Method
	switch {
	case method == http.MethodHead, method == http.MethodOptions && route.probe:
		method = http.MethodGet
	case method == http.MethodOptions:
		w.Header().Set("Allow", route.allow())
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	do, ok := route.on[method]
	if !ok {
		w.Header().Set("Allow", route.allow())
		return &Failure{Kind: ErrMethod, Text: fmt.Sprintf("%.20q is not allowed for %s: use one of %s", r.Method, r.URL.Path, route.allow())}
	}
	if method != http.MethodGet || route.closed {
		if err := h.mayChange(r); err != nil {
			return err
		}
	}
	if method == http.MethodGet && r.ContentLength != 0 {
		expectNoMore(w)
		return Input("%s %s takes no body", r.Method, r.URL.Path)
	}
	return do(h, w, r)
}

func (h *handler) unknown(path string) error {
	var known []string
	for p, r := range routes {
		if h.scope == Local || r.public {
			known = append(known, p)
		}
	}
	slices.Sort(known)
	return NotFound("no such path %.80q: there are %s", path, strings.Join(known, " "))
}

// expectNoMore keeps the server from waiting for the rest of a body that no handler
// reads.
func expectNoMore(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // a recorder in a test has none
}

func writeError(w http.ResponseWriter, err error) {
	writeJSON(w, Code(err), ErrorOf(err))
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		code, b = http.StatusInternalServerError, []byte(`{"error": "the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // the reader may have gone: nobody is left to tell
}
