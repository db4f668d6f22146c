package api_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// backed returns a goose of the default election that is a duck of backup.
func backed() (a, backup *apitest.Agent) {
	a = apitest.New()
	backup = a.Found("backup")
	backup.Change(func(s *api.Status) {
		s.Role, s.Lease, s.Term, s.Token = api.RoleDuck, api.Lease{}, 9, 9
		s.Goose = &api.Goose{Name: "b", ID: "a0", Addr: "127.0.0.1:3826", Term: 9, HeardMS: 12}
	})
	return a, backup
}

func TestElectionsAreListedTheDefaultOneFirst(t *testing.T) {
	a, _ := backed()
	a.Found("archive").Change(func(s *api.Status) { s.Role, s.Goose, s.Lease, s.Token = api.RoleCandidate, nil, api.Lease{}, 0 })
	for _, scope := range []api.Scope{api.Local, api.Public} {
		got := ask(a, scope, "GET", "/v1/elections", "")
		require.Equal(t, http.StatusOK, got.code)
		require.JSONEq(t, `{"elections": [
			{"name": "", "role": "goose", "term": 7, "token": 7, "lease_valid": true, "contested": true,
			 "goose": {"name": "a", "id": "9f000000000000000000000000000000", "addr": "127.0.0.1:3825", "term": 7, "heard_ms": 0, "tags": {"zone": "x"}}},
			{"name": "archive", "role": "candidate", "term": 7, "token": 0, "goose": null, "lease_valid": false, "contested": true},
			{"name": "backup", "role": "duck", "term": 9, "token": 9, "lease_valid": false, "contested": true,
			 "goose": {"name": "b", "id": "a0", "addr": "127.0.0.1:3826", "term": 9, "heard_ms": 12, "tags": {}}}]}`, got.body)
	}
}

func TestStatusNamesItsElectionUnlessItIsTheDefault(t *testing.T) {
	a, _ := backed()
	for _, scope := range []api.Scope{api.Local, api.Public} {
		got := ask(a, scope, "GET", "/v1/elections/backup/status", "")
		require.Equal(t, http.StatusOK, got.code, got.body)
		require.Contains(t, got.body, `"election":"backup"`)
		require.Contains(t, got.body, `"role":"duck"`)
		require.NotContains(t, ask(a, scope, "GET", "/v1/status", "").body, `"election"`)
	}
}

func TestProbesAnswerForTheElectionThatTheQueryNames(t *testing.T) {
	a, _ := backed()
	for _, scope := range []api.Scope{api.Local, api.Public} {
		for path, code := range map[string]int{
			"/goose": 200, "/duck": 503, "/goose?election=backup": 503, "/duck?election=backup": 200, "/duck?x=1&election=backup": 200,
		} {
			want := ask(a, scope, "GET", path, "")
			require.Equal(t, code, want.code, path)
			for _, method := range []string{"HEAD", "OPTIONS"} {
				require.Equal(t, want, ask(a, scope, method, path, ""), "%s %s", method, path)
			}
		}
		require.JSONEq(t, `{"role": "duck", "goose": "b", "token": 9}`, ask(a, scope, "GET", "/duck?election=backup", "").body)
	}
}

func TestCommandsReachTheirElectionAlone(t *testing.T) {
	a, backup := backed()
	got := ask(a, api.Local, "POST", "/v1/elections/backup/step-down", `{"to": "c", "force": true}`)
	require.Equal(t, http.StatusOK, got.code, got.body)
	require.JSONEq(t, `{"goose": "c"}`, got.body)
	require.Equal(t, []string{`step down to "c", though frozen`}, backup.Heard())
	require.Empty(t, a.Heard())

	backup.Fail(api.Conflict("b is the goose, at 127.0.0.1:3826"))
	got = ask(a, api.Local, "POST", "/v1/elections/backup/lead", "")
	require.Equal(t, http.StatusConflict, got.code)
	require.JSONEq(t, `{"error": "b is the goose, at 127.0.0.1:3826"}`, got.body)
	require.Equal(t, http.StatusOK, ask(a, api.Local, "POST", "/v1/step-down", "").code)
}

func TestStreamsFollowTheirElectionAlone(t *testing.T) {
	a, backup := backed()
	_, c := serveSocket(t, a)
	resp, err := c.Get("http://agent/v1/elections/backup/watch")
	require.NoError(t, err)
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	require.Equal(t, "backup", nextStatus(t, lines).Election)
	a.Change(func(s *api.Status) { s.Term = 70 })
	backup.Change(func(s *api.Status) { s.Term = 90 })
	require.EqualValues(t, 90, nextStatus(t, lines).Term)

	l := openLeadAt(t, "/v1/elections/backup/lead", backup, c)
	l.agents.Send(api.LeadEvent{Token: 9, Until: 1})
	line, err := l.lines.ReadString('\n')
	require.NoError(t, err)
	require.JSONEq(t, `{"token": 9, "until_boottime_ns": 1}`, line)
	require.Empty(t, a.Holders)
}

func TestElectionThatTheFlockDoesNotHaveIsNotFound(t *testing.T) {
	a, _ := backed()
	for _, c := range []struct{ method, path string }{
		{"GET", "/v1/elections/bakcup/status"},
		{"HEAD", "/v1/elections/bakcup/status"},
		{"GET", "/v1/elections/bakcup/watch"},
		{"POST", "/v1/elections/bakcup/step-down"},
		{"POST", "/v1/elections/bakcup/lead"},
		{"GET", "/goose?election=bakcup"},
		{"OPTIONS", "/duck?election=bakcup"},
	} {
		got := ask(a, api.Local, c.method, c.path, "")
		require.Equal(t, http.StatusNotFound, got.code, c.path)
		require.JSONEq(t, `{"error": "no election \"bakcup\" in this flock", "code": "no-election"}`, got.body, c.path)
		require.Empty(t, a.Heard())
	}
}

func TestElectionsOfNoRightNameAreRefusedWithTheRightForm(t *testing.T) {
	const right = `want 1 to 32 of a-z 0-9 . _ -, as nightly-backup`
	for in, name := range map[string]string{
		"a%2Fb": "a/b", "a%20b": "a b", "%2e%2e": "..", "..": "..", ".": ".", "": "", "NAME": "NAME", "B": "B", "%00": "\x00", "a%25": "a%", "g%C3%A4nse": "gänse",
		strings.Repeat("x", 33): strings.Repeat("x", 33),
	} {
		for _, c := range []struct{ method, path string }{
			{"GET", "/v1/elections/" + in + "/status"},
			{"POST", "/v1/elections/" + in + "/step-down"},
			{"GET", "/goose?election=" + in},
		} {
			a, _ := backed()
			got := ask(a, api.Local, c.method, c.path, "")
			require.Equal(t, http.StatusBadRequest, got.code, c.path)
			require.JSONEq(t, fmt.Sprintf(`{"error": %q}`, fmt.Sprintf("election %q: %s", name, right)), got.body, c.path)
			require.Empty(t, a.Heard())
		}
	}
	a, _ := backed()
	require.Equal(t, http.StatusOK, ask(a, api.Local, "GET", "/v1/elections/back%75p/status", "").code, "an escape that nobody needs")
	for query, text := range map[string]string{
		"election=%zz":               `invalid URL escape "%zz"`,
		"election=a&election=backup": "it names several elections: name one",
	} {
		got := ask(a, api.Local, "GET", "/goose?"+query, "")
		require.Equal(t, http.StatusBadRequest, got.code, query)
		require.JSONEq(t, fmt.Sprintf(`{"error": %q}`, fmt.Sprintf("query %q: %s", query, text)), got.body)
	}
}

func TestMethodsOfElections(t *testing.T) {
	a, backup := backed()
	for path, allow := range map[string]string{
		"/v1/elections":                  "GET, HEAD, OPTIONS",
		"/v1/elections/backup/status":    "GET, HEAD, OPTIONS",
		"/v1/elections/backup/watch":     "GET, HEAD, OPTIONS",
		"/v1/elections/backup/lead":      "OPTIONS, POST",
		"/v1/elections/backup/step-down": "OPTIONS, POST",
	} {
		got := ask(a, api.Local, "OPTIONS", path, "")
		require.Equal(t, http.StatusNoContent, got.code, path)
		require.Equal(t, allow, got.header.Get("Allow"), path)
		got = ask(a, api.Local, "PATCH", path, `{}`)
		require.Equal(t, http.StatusMethodNotAllowed, got.code, path)
		require.JSONEq(t, fmt.Sprintf(`{"error": "\"PATCH\" is not allowed for %s: use one of %s"}`, path, allow), got.body)
	}
	require.Equal(t, http.StatusOK, ask(a, api.Local, "HEAD", "/v1/elections", "").code)
	require.Equal(t, http.StatusOK, ask(a, api.Local, "HEAD", "/v1/elections/backup/watch", "").code)
	require.Zero(t, backup.Watching())
	require.Equal(t, http.StatusBadRequest, ask(a, api.Local, "GET", "/v1/elections/backup/status", `{}`).code)
	for _, path := range []string{"/v1/elections/", "/v1/elections/backup", "/v1/elections/backup/", "/v1/elections/backup/members", "/v1/elections/backup/status/", "/elections/backup/status", "/v1/status/backup"} {
		got := ask(a, api.Local, "GET", path, "")
		require.Equal(t, http.StatusNotFound, got.code, path)
		require.Contains(t, got.body, "no such path")
	}
}

func TestElectionsOverHTTPAreRead(t *testing.T) {
	a, backup := backed()
	for _, what := range []string{"watch", "lead", "step-down"} {
		for _, method := range append([]string{"GET", "HEAD", "OPTIONS"}, writes...) {
			require.Equal(t, http.StatusNotFound, ask(a, api.Public, method, "/v1/elections/backup/"+what, "").code, what)
		}
	}
	for _, method := range writes {
		require.Equal(t, http.StatusMethodNotAllowed, ask(a, api.Public, method, "/v1/elections/backup/status", `{}`).code)
	}
	require.Equal(t, http.StatusForbidden, askAs(12345, a, api.Local, "POST", "/v1/elections/backup/step-down", "").code, "no other user changes anything")
	require.Equal(t, http.StatusForbidden, askAs(12345, a, api.Local, "POST", "/v1/elections/backup/lead", "").code)
	require.Empty(t, backup.Heard())
}
