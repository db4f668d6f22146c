package api

import (
	"net/http"
	"net/url"
	"strings"
)

const (
	// ElectionForm describes a valid name of an election.
	ElectionForm = "want 1 to 32 of a-z 0-9 . _ -, as nightly-backup"
	// ElectionQuery in the query of GET /goose and /duck names the election meant.
	ElectionQuery = "election"
	// electionName stands for a name in the paths of routes.
	electionName = "NAME"
)

// ElectionInfo is one election of the flock, as one agent knows it.
type ElectionInfo struct {
	Name  string `json:"name"` // "": the default one
	Role  string `json:"role"`
	Term  uint64 `json:"term"`
	Token uint64 `json:"token"` // the named goose's; 0 when Goose is nil
	Goose *Goose `json:"goose"` // nil when none was heard for a lease
	// LeaseValid: this agent is the goose of the election.
	LeaseValid bool `json:"lease_valid"`
	// Contested: this agent was given the election's name. Other agents vote, and lead it
	// only while no agent that was given the name can.
	Contested bool `json:"contested"`
}

// Elections is the answer of GET /v1/elections: the default one first, the others by name.
type Elections struct {
	Elections []ElectionInfo `json:"elections"`
}

// Info is a status in short.
func (s *Status) Info(contested bool) ElectionInfo {
	return ElectionInfo{
		Name: s.Election, Role: s.Role, Term: s.Term, Token: s.Token, Goose: s.Goose, LeaseValid: s.Lease.Valid, Contested: contested,
	}
}

// ValidElection reports whether an election may have this name, as in [ElectionForm].
// The default election has none.
func ValidElection(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789._-"
	return name != "" && len(name) <= 32 && strings.Trim(name, letters) == "" && name != "." && name != ".."
}

// NoElection is the error for a name that is no election of the flock.
func NoElection(name string) error {
	return WithCode(CodeNoElection, NotFound("no election %q in this flock", name))
}

func (h *handler) elections(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, Elections{Elections: filled(h.b.Elections())})
	return nil
}

// electionDo answers about one election.
type electionDo func(*handler, ElectionBackend, http.ResponseWriter, *http.Request) error

// byDefault answers about the default election.
func byDefault(do electionDo) routeDo {
	return func(h *handler, w http.ResponseWriter, r *http.Request) error { return do(h, h.b, w, r) }
}

// byPath answers about the election that the path names.
func byPath(do electionDo) routeDo {
	return func(h *handler, w http.ResponseWriter, r *http.Request) error {
		_, name := routeOf(r.URL)
		e, err := h.election(name)
		if err != nil {
			return err
		}
		return do(h, e, w, r)
	}
}

// byQuery answers about the election that the query names, else about the default one.
func byQuery(do electionDo) routeDo {
	return func(h *handler, w http.ResponseWriter, r *http.Request) error {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil { // the broken part might be the name
			return Input("query %.80q: %v", r.URL.RawQuery, err)
		}
		names, asked := query[ElectionQuery]
		switch {
		case !asked:
			return do(h, h.b, w, r)
		case len(names) > 1:
			return Input("query %.80q: it names several elections: name one", r.URL.RawQuery)
		}
		e, err := h.election(names[0])
		if err != nil {
			return err
		}
		return do(h, e, w, r)
	}
}

func (h *handler) election(name string) (ElectionBackend, error) {
	if !ValidElection(name) {
		return nil, Input("election %.80q: %s", name, ElectionForm)
	}
	return h.b.Election(name)
}

// routeOf returns the path as routes has it, and the election's name in it.
func routeOf(u *url.URL) (path, election string) {
	// Split before unescaping: a name must not add a slash.
	words := strings.Split(u.EscapedPath(), "/")
	if len(words) != 5 || words[0] != "" || words[1] != "v1" || words[2] != "elections" {
		return u.Path, ""
	}
	name, err := url.PathUnescape(words[3])
	if err != nil {
		name = words[3] // cannot happen; a % makes no valid name
	}
	return "/v1/elections/" + electionName + "/" + words[4], name
}
