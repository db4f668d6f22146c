package api_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// contract is the example of the design's section 9, letter by letter but for the ids.
const contract = `{"seq": 41, "name": "a", "id": "9f000000000000000000000000000000", "addr": "127.0.0.1:3825", "flock": "default", "flock_id": "c0000000000000000000000000000000",
 "role": "goose", "voter": true, "priority": 100, "work": false, "well": null, "holders": [{"kind": "run", "ends": "cgroup.kill", "since": "2026-03-04T05:06:07Z"}], "generation": 0,
 "term": 7, "token": 7, "goose": {"name": "a", "id": "9f000000000000000000000000000000", "addr": "127.0.0.1:3825", "term": 7, "heard_ms": 0, "tags": {"zone": "x"}},
 "since": "2027-01-15T08:01:00.500Z",
 "lease": {"valid": true, "remaining_ms": 455.2, "until_boottime_ns": 123456789},
 "config": {"term": 7, "version": 5, "voters": [{"id": "9f000000000000000000000000000000", "name": "a", "priority": 100}]},
 "heartbeat_ms": 50, "lease_ms": 500, "members_alive": 5, "netem": "", "warnings": ["..."], "counters": {"dropped_checksum": 0},
 "uptime_s": 12.5, "version": "..."}`

// working is the agent of the contract.
func working() *apitest.Agent {
	a := apitest.New()
	a.Change(func(s *api.Status) {
		s.Holders = []api.WorkHolder{{Kind: "run", Ends: "cgroup.kill", Since: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}}
	})
	return a
}

func TestStatusHasTheContractsKeysAndNoOthers(t *testing.T) {
	got := ask(working(), api.Local, "GET", "/v1/status", "")
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
	for _, want := range []string{`"voters":[]`, `"warnings":[]`, `"holders":[]`, `"counters":{}`, `"goose":null`, `"flock_id":""`} {
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
		 "voter": true, "priority": 100, "work": false, "well": null, "tags": {"zone": "x"}, "version": "v1.2", "rtt_ms": 0.25},
		{"name": "b", "id": "a0000000000000000000000000000000", "addr": "127.0.0.1:3826", "state": "failed", "role": "duck",
		 "voter": false, "priority": 0, "work": false, "well": null, "tags": {}, "version": "", "rtt_ms": null}]}`, got.body)
}

func TestWhatIsNoJSONIsAnErrorAndNoHalfAnswer(t *testing.T) {
	a := apitest.New()
	a.Change(func(s *api.Status) { s.Uptime = math.NaN() })
	got := ask(a, api.Local, "GET", "/v1/status", "")
	require.Equal(t, http.StatusInternalServerError, got.code)
	require.JSONEq(t, `{"error": "the answer cannot be written as JSON"}`, got.body)
}
