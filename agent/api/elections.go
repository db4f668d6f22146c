package api

import (
	"net/http"
	"net/url"
	"strings"
)

const (
	// ElectionForm says what an election's name must be like.
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
	// LeaseValid tells that this agent is the goose of the election.
	LeaseValid bool `json:"lease_valid"`
	// Contested tells that this agent was given its name: others vote, and care for
	// it while none that was can lead it.
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

// ValidElection tells whether an election may have this name, as [ElectionForm]
// says it. The default one has none.
func ValidElection(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789._-"
	return name != "" && len(name) <= 32 && strings.Trim(name, letters) == "" && name != "." && name != ".."
}

// NoElection is the error for a name that the flock does not have.
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
		if err != nil { // what is lost might be the name
			return Input("query %.80q: %v", r.URL.RawQuery, err)
		}
		names, asked := query[ElectionQuery]
		switch {
		case !asked:
			return do(h, h.b, w, r)
		case len(names) > 1:
			return Input("query %.80q: it names several elections: want one", r.URL.RawQuery)
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

// routeOf gives the path as routes has it, and the election that stands in it.
func routeOf(u *url.URL) (path, election string) {
	// Cut before escapes are undone: a name may not bring a slash of its own.
	words := strings.Split(u.EscapedPath(), "/")
	if len(words) != 5 || words[0] != "" || words[1] != "v1" || words[2] != "elections" {
		return u.Path, ""
	}
	name, err := url.PathUnescape(words[3])
	if err != nil {
		name = words[3] // EscapedPath makes no such thing, and no name has a %
	}
	return "/v1/elections/" + electionName + "/" + words[4], name
}
