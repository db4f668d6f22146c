package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestCommandsReachTheAgentAndAnswerAsTheContractSays(t *testing.T) {
	for _, c := range []struct{ method, path, body, heard, answer string }{
		{"POST", "/v1/mark", `{"advance": 5}`, `advance to 5, token 0, slot 0s`, `{"mark": 5, "committed": true}`},
		{"POST", "/v1/mark", `{"advance": 6, "token": 7, "slot": "1m"}`, `advance to 6, token 7, slot 1m0s`, `{"mark": 6, "committed": true}`},
		{"POST", "/v1/step-down", `{"to": "c"}`, `step down to "c"`, `{"goose": "c"}`},
		{"POST", "/v1/step-down", `{}`, `step down to ""`, `{"goose": "b"}`},
		{"POST", "/v1/step-down", ``, `step down to ""`, `{"goose": "b"}`},
		{"POST", "/v1/step-down", `{"to": "c", "force": true}`, `step down to "c", though frozen`, `{"goose": "c"}`},
		{
			"POST", "/v1/freeze", `{"for": "30m"}`, `freeze for 30m0s`,
			`{"remaining_s": 1800, "reached": ["a"], "unreached": [{"name": "b", "error": "it is dead or cut off"}]}`,
		},
		{
			"POST", "/v1/freeze", ``, `freeze for 1h0m0s`,
			`{"remaining_s": 3600, "reached": ["a"], "unreached": [{"name": "b", "error": "it is dead or cut off"}]}`,
		},
		{"POST", "/v1/thaw", ``, `thaw`, `{"remaining_s": 0, "reached": ["a", "b"], "unreached": []}`},
		{"POST", "/v1/leave", `{"force": true}`, `leave, force true`, `{}`},
		{"POST", "/v1/leave", ``, `leave, force false`, `{}`},
		{"POST", "/v1/force-leave", `{"name": "b"}`, `force "b" to leave`, `{}`},
		{"POST", "/v1/join", `{"addrs": ["10.0.0.1:3825", "b"]}`, `join ["10.0.0.1:3825" "b"]`, `{"joined": 2}`},
		{"POST", "/v1/simulate/death", `{"for": "10s"}`, `die for 10s`, `{}`},
		{"POST", "/v1/simulate/death", ``, `die for 0s`, `{}`},
		{"POST", "/v1/simulate/revive", ``, `revive`, `{}`},
		{"POST", "/v1/simulate/revive", `{}`, `revive`, `{}`},
		{
			"PUT", "/v1/netem", `{"rules": "*: loss 10%", "for": "30s"}`, `netem "*: loss 10%" for 30s`,
			`{"rules": "*: loss 10%", "expires_in_s": 30, "seed": 7}`,
		},
		{
			"PUT", "/v1/netem", `{"rules": "*: cut"}`, `netem "*: cut" for 0s`,
			`{"rules": "*: cut", "expires_in_s": null, "seed": 7}`,
		},
		{"DELETE", "/v1/netem", ``, `netem clear`, `{"rules": "", "expires_in_s": null, "seed": 7}`},
	} {
		t.Run(c.method+" "+c.path+" "+c.body, func(t *testing.T) {
			a := apitest.New()
			got := ask(a, api.Local, c.method, c.path, c.body)
			require.Equal(t, http.StatusOK, got.code, got.body)
			require.JSONEq(t, c.answer, got.body)
			require.Equal(t, []string{c.heard}, a.Heard())
			require.Equal(t, "application/json", got.header.Get("Content-Type"))
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		})
	}
}

func TestErrorsOfTheAgentChooseTheCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{api.Input("no address: %q", "x"), 400, `no address: "x"`},
		{api.Forbidden("not you"), 403, "not you"},
		{api.NotFound("no such agent"), 404, "no such agent"},
		{api.Conflict("b is the goose, at 127.0.0.1:3826"), 409, "b is the goose, at 127.0.0.1:3826"},
		{fmt.Errorf("step down: %w", api.Conflict("alone")), 409, "step down: alone"},
		{&api.Failure{Kind: api.ErrNoMajority, Text: "2 of 3 voters do not answer"}, 503, "2 of 3 voters do not answer"},
		{api.Timeout("nobody took over"), 504, "nobody took over"},
		{errors.New("disk full"), 500, "disk full"},
	} {
		a := apitest.New()
		a.Fail(c.err)
		for _, path := range []string{"/v1/step-down", "/v1/leave", "/v1/simulate/death", "/v1/simulate/revive", "/v1/lead"} {
			got := ask(a, api.Local, "POST", path, "")
			require.Equal(t, c.code, got.code, path)
			require.JSONEq(t, fmt.Sprintf(`{"error": %q}`, c.text), got.body)

			back := api.FromCode(got.code, api.Error{Error: c.text})
			require.Equal(t, c.code, api.Code(back), "the client finds the error again")
			require.EqualError(t, back, c.text)
		}
	}
}

func TestCodesThatAreNoneOfOursAreInternal(t *testing.T) {
	err := api.FromCode(http.StatusTeapot, api.Error{Error: "short and stout"})
	require.ErrorIs(t, err, api.ErrInternal)
	require.EqualError(t, err, "short and stout (status 418)")
}

func TestUnknownPathNamesTheKnown(t *testing.T) {
	got := ask(apitest.New(), api.Local, "GET", "/v1/stauts", "")
	require.Equal(t, http.StatusNotFound, got.code)
	require.JSONEq(t, `{"error": "no such path \"/v1/stauts\": there are /debug/pprof/allocs /debug/pprof/goroutine /debug/pprof/heap /debug/pprof/profile /duck /goose /healthz /leader /metrics /primary /readyz /replica /v1/doctor /v1/elections /v1/elections/NAME/history /v1/elections/NAME/lead /v1/elections/NAME/mark /v1/elections/NAME/status /v1/elections/NAME/step-down /v1/elections/NAME/watch /v1/elections/NAME/why /v1/force-leave /v1/freeze /v1/history /v1/join /v1/keys /v1/keys/install /v1/keys/remove /v1/keys/use /v1/lead /v1/leave /v1/mark /v1/members /v1/netem /v1/simulate/death /v1/simulate/revive /v1/status /v1/step-down /v1/thaw /v1/watch /v1/why"}`, got.body)

	for _, path := range []string{"/", "/v1", "/v1/", "/v1/status/", "//v1/status", "/V1/status"} {
		got := ask(apitest.New(), api.Local, "GET", path, "")
		require.Equal(t, http.StatusNotFound, got.code, path)
		require.Contains(t, got.body, `"error"`)
	}
}

func TestWrongMethodNamesTheRightOnes(t *testing.T) {
	for path, allow := range map[string]string{
		"/goose":             "GET, HEAD, OPTIONS",
		"/metrics":           "GET, HEAD, OPTIONS",
		"/v1/status":         "GET, HEAD, OPTIONS",
		"/v1/watch":          "GET, HEAD, OPTIONS",
		"/v1/leave":          "OPTIONS, POST",
		"/v1/lead":           "OPTIONS, POST",
		"/v1/netem":          "DELETE, GET, HEAD, OPTIONS, PUT",
		"/v1/join":           "OPTIONS, POST",
		"/v1/members":        "GET, HEAD, OPTIONS",
		"/v1/simulate/death": "OPTIONS, POST",
	} {
		a := apitest.New()
		got := ask(a, api.Local, "PATCH", path, `{}`)
		require.Equal(t, http.StatusMethodNotAllowed, got.code, path)
		require.Equal(t, allow, got.header.Get("Allow"), path)
		require.JSONEq(t, fmt.Sprintf(`{"error": "\"PATCH\" is not allowed for %s: use one of %s"}`, path, allow), got.body)
		require.Empty(t, a.Heard())
	}
	require.Equal(t, http.StatusMethodNotAllowed, ask(apitest.New(), api.Local, "GET", "/v1/leave", "").code)
	require.Equal(t, http.StatusMethodNotAllowed, ask(apitest.New(), api.Local, "HEAD", "/v1/leave", "").code)
}

func TestOptionsTellsTheMethods(t *testing.T) {
	for _, path := range []string{"/v1/status", "/v1/leave", "/v1/netem", "/metrics"} {
		got := ask(apitest.New(), api.Local, "OPTIONS", path, "")
		require.Equal(t, http.StatusNoContent, got.code)
		require.NotEmpty(t, got.header.Get("Allow"))
		require.Empty(t, got.body)
	}
}

func TestNetemOfAnAgentWithoutItIsNotFound(t *testing.T) {
	a := apitest.New()
	require.JSONEq(t, `{"rules": "", "expires_in_s": null, "seed": 7}`, ask(a, api.Local, "GET", "/v1/netem", "").body)
	a.RemoveFaults()
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		got := ask(a, api.Local, method, "/v1/netem", "")
		require.Equal(t, http.StatusNotFound, got.code)
		require.JSONEq(t, `{"error": "this agent was started without fault rules (netem)"}`, got.body)
	}
}

func TestMetricsAreTheAgentsOwn(t *testing.T) {
	got := ask(apitest.New(), api.Local, "GET", "/metrics", "")
	require.Equal(t, http.StatusOK, got.code)
	require.Equal(t, "ddgoose_goose 1\n", got.body)
}
