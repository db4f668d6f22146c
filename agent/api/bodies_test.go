package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// commands are all that take a body, and are not a stream.
var commands = []struct{ method, path string }{
	{"POST", "/v1/step-down"},
	{"POST", "/v1/mark"},
	{"POST", "/v1/freeze"},
	{"POST", "/v1/thaw"},
	{"POST", "/v1/leave"},
	{"POST", "/v1/force-leave"},
	{"POST", "/v1/join"},
	{"POST", "/v1/simulate/death"},
	{"POST", "/v1/simulate/revive"},
	{"PUT", "/v1/netem"},
	{"DELETE", "/v1/netem"},
	{"POST", "/v1/doctor"},
	{"POST", "/v1/keys/install"},
	{"POST", "/v1/keys/use"},
	{"POST", "/v1/keys/remove"},
}

func TestBadBodiesAreRefusedWithWhatWouldBeRight(t *testing.T) {
	for _, c := range []struct{ method, path, body, err string }{
		{"POST", "/v1/step-down", `{"too": "c"}`, `unknown field "too"`},
		{"POST", "/v1/step-down", `{"to": 7}`, `field "to" has the wrong type: a JSON number`},
		{"POST", "/v1/step-down", `{"to": "c"} {"to": "d"}`, `there is text after the JSON document: want exactly one document`},
		{"POST", "/v1/step-down", `{"to": "c"`, `the JSON document ends too early`},
		{"POST", "/v1/step-down", `["c"]`, `the body is a JSON array: want an object`},
		{"POST", "/v1/step-down", `null`, `the body is a JSON null: want an object`},
		{"POST", "/v1/step-down", `c`, `invalid character 'c' looking for beginning of value`},
		{"POST", "/v1/mark", ``, `field "advance": 0: want a mark from 1 to 9007199254740991`},
		{"POST", "/v1/mark", `{"advance": 9007199254740992}`, `field "advance": 9007199254740992: want a mark from 1 to 9007199254740991`},
		{"POST", "/v1/mark", `{"advance": -1}`, `field "advance" has the wrong type: a JSON number -1`},
		{"POST", "/v1/mark", `{"advance": 1, "slot": "1d"}`, `field "slot": "1d": want a duration above 0, such as 10s or 250ms`},
		{"POST", "/v1/freeze", `{"for": "1d"}`, `field "for": "1d": want a duration above 0, such as 10s or 250ms`},
		{"POST", "/v1/freeze", `{"for": "25h"}`, `field "for": 25h0m0s: want 24h0m0s at the most`},
		{"POST", "/v1/thaw", `{"for": "1h"}`, `unknown field "for"`},
		{"POST", "/v1/leave", `{"force": "yes"}`, `field "force" has the wrong type: a JSON string`},
		{"POST", "/v1/force-leave", ``, `field "name" is missing: want the name of the voter that will never return`},
		{"POST", "/v1/force-leave", `{"name": ""}`, `field "name" is missing: want the name of the voter that will never return`},
		{"POST", "/v1/join", `{}`, `field "addrs" is missing or empty: want addresses such as ["10.0.0.1:3825"]`},
		{"POST", "/v1/join", `{"addrs": []}`, `field "addrs" is missing or empty: want addresses such as ["10.0.0.1:3825"]`},
		{"POST", "/v1/join", `{"addrs": "b"}`, `field "addrs" has the wrong type: a JSON string`},
		{"POST", "/v1/simulate/death", `{"for": "10"}`, `field "for": "10": want a duration above 0, such as 10s or 250ms`},
		{"POST", "/v1/simulate/death", `{"for": "-1s"}`, `field "for": "-1s": want a duration above 0, such as 10s or 250ms`},
		{"POST", "/v1/simulate/death", `{"for": "0s"}`, `field "for": "0s": want a duration above 0, such as 10s or 250ms`},
		{"POST", "/v1/simulate/death", `{"for": 10}`, `field "for" has the wrong type: a JSON number`},
		{"POST", "/v1/simulate/revive", `{"for": "10s"}`, `unknown field "for"`},
		{"PUT", "/v1/netem", ``, `field "rules" is missing or empty: want rules such as "*: loss 10%", or DELETE to clear them`},
		{"PUT", "/v1/netem", `{"rules": "*: cut", "for": "soon"}`, `field "for": "soon": want a duration above 0, such as 10s or 250ms`},
		{"PUT", "/v1/netem", `{"rules": "cut"}`, `rule cut: want PEER: FAULT`},
		{"DELETE", "/v1/netem", `{"rules": ""}`, `unknown field "rules"`},
		{"POST", "/v1/doctor", `{"for": "5"}`, `field "for": "5": want a duration above 0, such as 10s or 250ms`},
		{"POST", "/v1/doctor", `{"for": "1m"}`, `field "for": 1m0s: want 1s to 20s`},
		{"POST", "/v1/keys/install", ``, `field "key": want the base64 of 32 bytes, and no other field`},
		{"POST", "/v1/keys/install", `{"key": "AAAA"}`, `field "key": want the base64 of 32 bytes, and no other field`},
		{"POST", "/v1/keys/use", `{"key_id": "9C0A41F2"}`, `field "key_id": "9C0A41F2": want 8 hexadecimal digits, as GET /v1/keys shows them, and no other field`},
		{"POST", "/v1/keys/remove", `{"key_id": ""}`, `field "key_id": "": want 8 hexadecimal digits, as GET /v1/keys shows them, and no other field`},
	} {
		t.Run(c.method+" "+c.path+" "+c.body, func(t *testing.T) {
			a := apitest.New()
			got := ask(a, api.Local, c.method, c.path, c.body)
			require.Equal(t, http.StatusBadRequest, got.code)
			require.JSONEq(t, fmt.Sprintf(`{"error": %q}`, c.err), got.body)
			require.Empty(t, a.Heard(), "nothing was done")
		})
	}
}

func TestBodyOverTheLimitIsRefused(t *testing.T) {
	for _, c := range commands {
		a := apitest.New()
		got := ask(a, api.Local, c.method, c.path, `{"name": "`+strings.Repeat("b", api.MaxBody)+`"}`)
		require.Equal(t, http.StatusBadRequest, got.code)
		require.JSONEq(t, fmt.Sprintf(`{"error": "the body is larger than %d bytes"}`, api.MaxBody), got.body)
		require.Empty(t, a.Heard())
	}
	a := apitest.New()
	name := strings.Repeat("b", api.MaxBody-len(`{"name": ""}`))
	require.Equal(t, http.StatusOK, ask(a, api.Local, "POST", "/v1/force-leave", `{"name": "`+name+`"}`).code, "exactly the limit")
}

func TestReadsTakeNoBody(t *testing.T) {
	for _, path := range append([]string{"/v1/watch", "/v1/netem"}, readable...) {
		got := ask(apitest.New(), api.Local, "GET", path, `{}`)
		require.Equal(t, http.StatusBadRequest, got.code, path)
		require.JSONEq(t, fmt.Sprintf(`{"error": "GET %s takes no body"}`, path), got.body)
	}
}

func TestLinesOfAHolderAreJudged(t *testing.T) {
	for _, c := range []struct {
		lines string
		heard []string
		err   string
	}{
		{"{\"drained\":7}\n", []string{"drained 7"}, ""},
		{"{\"drained\":7,\"step_down\":true}", []string{"drained 7, step down"}, ""},
		{`{"drained":7,"leave":true}`, []string{"drained 7, leave"}, ""},
		{`{"leave":true}`, nil, `fields "step_down" and "leave" need "drained" too: work must have ended first`},
		{`{"drained":7,"leave":true,"step_down":true}`, nil, `want "step_down" or "leave", not both`},
		{"\n \n{\"late\":7}\r\n{\"drained\":7}\n", []string{"late 7", "drained 7"}, ""},
		{`{"late":6,"drained":7}`, []string{"late 6", "drained 7"}, ""},
		{"", nil, ""},
		{`{}`, nil, `the line is empty: want "drained", "late" or "heard" with a token`},
		{`{"step_down":true}`, nil, `fields "step_down" and "leave" need "drained" too: work must have ended first`},
		{`{"late":7,"step_down":true}`, nil, `fields "step_down" and "leave" need "drained" too: work must have ended first`},
		{"{\"late\":7}\n{\"drain\":7}\n{\"drained\":7}", []string{"late 7"}, `unknown field "drain"`},
		{`{"drained":-1}`, nil, `field "drained" has the wrong type: a JSON number -1`},
		{`{"drained":7}{"drained":7}`, nil, `there is text after the JSON document: want exactly one document`},
		{`{"drained":` + strings.Repeat(" ", api.MaxLine) + `7}`, nil, fmt.Sprintf(`a line is longer than %d bytes`, api.MaxLine)},
	} {
		var h apitest.Holder
		err := api.HearLines(&h, []byte(c.lines))
		require.Equal(t, c.heard, h.Heard(), c.lines)
		if c.err == "" {
			require.NoError(t, err, c.lines)
			continue
		}
		require.ErrorIs(t, err, api.ErrInput)
		require.EqualError(t, err, c.err)
	}
}
