package api

import (
	"encoding/json"
	"net/http"
)

func (h *handler) status(e ElectionBackend, w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, e.Status())
	return nil
}

func (h *handler) members(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, Members{Members: filled(h.b.Members())})
	return nil
}

func (h *handler) metrics(w http.ResponseWriter, r *http.Request) error {
	h.b.Metrics().ServeHTTP(w, r)
	return nil
}

// Probe is the answer of /goose, /duck, /healthz and /readyz, on one line.
type Probe struct {
	Role  string `json:"role"`
	Goose string `json:"goose"`           // its name; "" while none is known
	Token uint64 `json:"token"`           // the named goose's; 0 when Goose is ""
	Error string `json:"error,omitempty"` // why the answer is 503
}

// answer writes a probe's answer: 200 when problem is "", else 503.
func answer(w http.ResponseWriter, s Status, problem string) {
	p := Probe{Role: s.Role, Error: problem}
	if knowsGoose(s) {
		p.Goose, p.Token = s.Goose.Name, s.Token
	}
	code := http.StatusOK
	if problem != "" {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, p)
}

func knowsGoose(s Status) bool { return s.Goose != nil && s.Role != RoleDead }

func (h *handler) goose(e ElectionBackend, w http.ResponseWriter, _ *http.Request) error {
	s, problem := e.Status(), ""
	if s.Role != RoleGoose || !s.Lease.Valid {
		problem = "not the goose"
	}
	answer(w, s, problem)
	return nil
}

func (h *handler) duck(e ElectionBackend, w http.ResponseWriter, _ *http.Request) error {
	s, problem := e.Status(), ""
	switch {
	case s.Role != RoleDuck:
		problem = "not a duck"
	case !knowsGoose(s):
		problem = "knows no live goose"
	}
	answer(w, s, problem)
	return nil
}

func (h *handler) healthz(w http.ResponseWriter, _ *http.Request) error {
	problem := ""
	if err := h.b.Healthy(); err != nil {
		problem = err.Error()
	}
	answer(w, h.b.Status(), problem)
	return nil
}

// workQuery makes /readyz also check that no agent other than the goose has work
// waiting.
const workQuery = "work"

func (h *handler) readyz(w http.ResponseWriter, r *http.Request) error {
	s, problem := h.b.Status(), ""
	switch {
	case !knowsGoose(s):
		problem = "knows no live goose"
	case r.URL.Query().Get(workQuery) == "1":
		if idle, working := GooseWithoutWork(&s, h.b.Members()); idle != "" {
			problem = idle + " is the goose and has no work, while " + working + " has"
		}
	}
	answer(w, s, problem)
	return nil
}

// GooseWithoutWork returns a goose that has no work, and a live agent that has some; "":
// there is no such pair. It is about the default election.
func GooseWithoutWork(s *Status, members []Member) (idle, working string) {
	if s.Goose == nil {
		return "", ""
	}
	for i := range members {
		switch m := &members[i]; {
		case m.ID == s.Goose.ID && m.Work:
			return "", ""
		case m.ID == s.Goose.ID:
			idle = m.Name
		case m.Work && m.State == StateAlive && working == "":
			working = m.Name
		}
	}
	if working == "" {
		return "", ""
	}
	return idle, working
}

// watch streams statuses, one a line, until the reader or the agent goes.
func (h *handler) watch(e ElectionBackend, w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	if r.Method == http.MethodHead {
		return nil
	}
	ctx, stop := h.whileOpen(r.Context())
	defer stop()
	flush := http.NewResponseController(w).Flush
	lines := json.NewEncoder(w)
	for s := range e.Watch(ctx) {
		if lines.Encode(s) != nil || flush() != nil {
			break // the reader has gone
		}
	}
	return nil
}
