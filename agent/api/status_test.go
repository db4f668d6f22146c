package api_test

import (
	"math"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// contract is the example of the design's section 9, letter by letter but for the ids.
const contract = `{"seq": 41, "name": "a", "id": "9f000000000000000000000000000000", "addr": "127.0.0.1:3825", "flock": "default", "flock_id": "c0000000000000000000000000000000",
 "role": "goose", "voter": true, "priority": 100, "generation": 0,
 "term": 7, "token": 7, "goose": {"name": "a", "id": "9f000000000000000000000000000000", "addr": "127.0.0.1:3825", "term": 7, "heard_ms": 0},
 "lease": {"valid": true, "remaining_ms": 455.2, "until_boottime_ns": 123456789},
 "config": {"term": 7, "version": 5, "voters": [{"id": "9f000000000000000000000000000000", "name": "a", "priority": 100}]},
 "heartbeat_ms": 50, "lease_ms": 500, "members_alive": 5, "netem": "", "warnings": ["..."], "counters": {"dropped_checksum": 0},
 "uptime_s": 12.5, "version": "..."}`

func TestStatusHasTheContractsKeysAndNoOthers(t *testing.T) {
	got := ask(apitest.New(), api.Local, "GET", "/v1/status", "")
	require.Equal(t, http.StatusOK, got.code)
	require.JSONEq(t, contract, got.body)
	require.Equal(t, byte('\n'), got.body[len(got.body)-1], "one line, for shells")
}

func TestStatusWithoutGooseIsNull(t *testing.T) {
	got := ask(lost(), api.Local, "GET", "/v1/status", "")
	require.Contains(t, got.body, `"goose":null`)
	require.Contains(t, got.body, `"token":0`)
	require.Contains(t, got.body, `"lease":{"valid":false,"remaining_ms":0,"until_boottime_ns":0}`)
}

func TestEmptyListsAreListsAndNeverNull(t *testing.T) {
	a := apitest.New()
	a.Change(func(s *api.Status) { *s = api.Status{Role: api.RoleDuck} }) // not founded, and nothing counted yet
	got := ask(a, api.Local, "GET", "/v1/status", "").body
	for _, want := range []string{`"voters":[]`, `"warnings":[]`, `"counters":{}`, `"goose":null`, `"flock_id":""`} {
		require.Contains(t, got, want)
	}
	a.SetMembers([]api.Member{{Name: "a"}})
	require.Contains(t, ask(a, api.Local, "GET", "/v1/members", "").body, `"tags":{}`)
	a.SetMembers(nil)
	require.JSONEq(t, `{"members": []}`, ask(a, api.Local, "GET", "/v1/members", "").body)
}

func TestMembersHaveTheContractsKeysAndNoOthers(t *testing.T) {
	got := ask(apitest.New(), api.Local, "GET", "/v1/members", "")
	require.Equal(t, http.StatusOK, got.code)
	require.JSONEq(t, `{"members": [
		{"name": "a", "id": "9f000000000000000000000000000000", "addr": "127.0.0.1:3825", "state": "alive", "role": "goose",
		 "voter": true, "priority": 100, "tags": {"zone": "x"}, "rtt_ms": 0.25},
		{"name": "b", "id": "a0000000000000000000000000000000", "addr": "127.0.0.1:3826", "state": "failed", "role": "duck",
		 "voter": false, "priority": 0, "tags": {}, "rtt_ms": null}]}`, got.body)
}

func TestWhatIsNoJSONIsAnErrorAndNoHalfAnswer(t *testing.T) {
	a := apitest.New()
	a.Change(func(s *api.Status) { s.Uptime = math.NaN() })
	got := ask(a, api.Local, "GET", "/v1/status", "")
	require.Equal(t, http.StatusInternalServerError, got.code)
	require.JSONEq(t, `{"error": "the answer cannot be written as JSON"}`, got.body)
}
