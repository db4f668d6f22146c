package api_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

var (
	probes   = []string{"/goose", "/duck", "/healthz", "/readyz", "/primary", "/leader", "/replica"}
	readable = append([]string{"/metrics", "/v1/status", "/v1/members", "/v1/elections"}, probes...)
	private  = []string{
		"/v1/watch", "/v1/history", "/v1/lead", "/v1/step-down", "/v1/leave", "/v1/force-leave", "/v1/join",
		"/v1/simulate/death", "/v1/simulate/revive", "/v1/netem",
		"/debug/pprof/profile", "/debug/pprof/heap", "/debug/pprof/allocs", "/debug/pprof/goroutine",
	}
	writes = []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"}
)

func TestProbesAnswerByRoleAlikeForGetHeadAndOptions(t *testing.T) {
	unled := apitest.New() // a leader whose lease has lapsed
	unled.Change(func(s *api.Status) { s.Lease.Valid = false })
	sick := apitest.New()
	sick.Sicken(errors.New("the loop has not run for 1s"))
	candidate := lost()
	candidate.Change(func(s *api.Status) { s.Role = api.RoleCandidate })
	for _, c := range []struct {
		name  string
		agent *apitest.Agent
		codes [4]int // of the first probes, in their order
	}{
		{"goose", apitest.New(), [4]int{200, 503, 200, 200}},
		{"goose without lease", unled, [4]int{503, 503, 200, 200}},
		{"duck", duck(), [4]int{503, 200, 200, 200}},
		{"duck that hears no goose", lost(), [4]int{503, 503, 200, 503}},
		{"candidate", candidate, [4]int{503, 503, 200, 503}},
		{"dead", dead(), [4]int{503, 503, 503, 503}},
		{"loop that hangs", sick, [4]int{200, 503, 503, 200}},
	} {
		for i, path := range probes {
			code := c.codes[min(i, 3)]
			if i > 3 { // Patroni's names
				code = c.codes[map[string]int{"/primary": 0, "/leader": 0, "/replica": 1}[path]]
			}
			for _, scope := range []api.Scope{api.Local, api.Public} {
				want := ask(c.agent, scope, "GET", path, "")
				require.Equal(t, code, want.code, "%s: %s", c.name, path)
				for _, method := range []string{"HEAD", "OPTIONS"} {
					require.Equal(t, want, ask(c.agent, scope, method, path, ""), "%s: %s %s", c.name, method, path)
				}
			}
		}
	}
}

func TestProbesSayInOneLineWhatTheyKnow(t *testing.T) {
	require.JSONEq(t, `{"role": "goose", "goose": "a", "token": 7}`, ask(apitest.New(), api.Public, "GET", "/goose", "").body)
	require.JSONEq(t, `{"role": "duck", "goose": "b", "token": 7}`, ask(duck(), api.Public, "GET", "/duck", "").body)
	require.JSONEq(t, `{"role": "duck", "goose": "b", "token": 7, "error": "not the goose"}`, ask(duck(), api.Public, "GET", "/goose", "").body)
	require.JSONEq(t, `{"role": "goose", "goose": "a", "token": 7, "error": "not a duck"}`, ask(apitest.New(), api.Public, "GET", "/duck", "").body)
	require.JSONEq(t, `{"role": "duck", "goose": "", "token": 0, "error": "knows no live goose"}`, ask(lost(), api.Public, "GET", "/readyz", "").body)
	require.JSONEq(t, `{"role": "dead", "goose": "", "token": 0, "error": "dead by simulation"}`, ask(dead(), api.Public, "GET", "/healthz", "").body)
}

func TestPublicOffersWhatMayBeReadAndNothingElse(t *testing.T) {
	for _, path := range readable {
		require.Equal(t, ask(apitest.New(), api.Local, "GET", path, "").code, ask(apitest.New(), api.Public, "GET", path, "").code, path)
		require.NotEqual(t, http.StatusNotFound, ask(apitest.New(), api.Public, "GET", path, "").code, path)
	}
	for _, path := range append([]string{"/", "/debug/pprof/", "/v1/unknown"}, private...) {
		for _, method := range append([]string{"GET", "HEAD", "OPTIONS"}, writes...) {
			a := apitest.New()
			got := ask(a, api.Public, method, path, "")
			require.Equal(t, http.StatusNotFound, got.code, "%s %s", method, path)
			require.NotContains(t, got.body, "/v1/leave ", "it names only what it offers")
			require.Empty(t, a.Heard())
		}
	}
}

func TestPublicRefusesEveryWrite(t *testing.T) {
	for _, path := range readable {
		for _, method := range writes {
			a := apitest.New()
			got := ask(a, api.Public, method, path, `{}`)
			require.Equal(t, http.StatusMethodNotAllowed, got.code, "%s %s", method, path)
			require.Equal(t, "GET, HEAD, OPTIONS", got.header.Get("Allow"))
			require.Empty(t, a.Heard())
		}
	}
}

func TestProfilesAreForThoseWhoMayChangeTheAgent(t *testing.T) {
	got := ask(apitest.New(), api.Local, "GET", "/debug/pprof/heap", "")
	require.Equal(t, http.StatusOK, got.code)
	require.True(t, strings.HasPrefix(got.body, "\x1f\x8b"), "a profile is compressed")
	for _, bad := range []string{"0", "-1", "x", "301"} {
		got = ask(apitest.New(), api.Local, "GET", "/debug/pprof/profile?seconds="+bad, "")
		require.Equal(t, http.StatusBadRequest, got.code, bad)
		require.Contains(t, got.body, "want 1 to 300")
	}
}

func TestEveryPathIsReadableOrPrivate(t *testing.T) {
	all := slices.Sorted(slices.Values(append(slices.Clone(readable), private...)))
	got := ask(apitest.New(), api.Local, "GET", "/", "")
	for _, path := range all {
		require.Contains(t, got.body, path)
	}
	require.Equal(t, 25, len(all), "a new path belongs into one of the lists")
}
