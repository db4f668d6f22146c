package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestAMarkIsReadAndRaisedOnceToEachNumber(t *testing.T) {
	a, backup := backed()
	got := ask(a, api.Local, "POST", "/v1/mark", `{"advance": 5}`)
	require.Equal(t, http.StatusOK, got.code, got.body)
	require.JSONEq(t, `{"mark": 5, "committed": true}`, ask(a, api.Local, "GET", "/v1/mark", "").body)
	got = ask(a, api.Local, "POST", "/v1/mark", `{"advance": 5}`)
	require.Equal(t, http.StatusConflict, got.code)
	require.JSONEq(t, `{"error": "the mark is 5 already: only a larger number can follow", "code": "mark-taken"}`, got.body)
	got = ask(a, api.Local, "POST", "/v1/elections/backup/mark", `{"advance": 2}`)
	require.Equal(t, http.StatusOK, got.code, got.body)
	require.JSONEq(t, `{"mark": 2, "committed": true}`, ask(a, api.Local, "GET", "/v1/elections/backup/mark", "").body)
	require.Equal(t, []string{"advance to 2, token 0, slot 0s"}, backup.Heard())

	lost := apitest.New()
	lost.Fail(&api.Failure{Kind: api.ErrNoMajority, Text: "no majority"})
	require.Equal(t, http.StatusServiceUnavailable, ask(lost, api.Local, "POST", "/v1/mark", `{"advance": 5}`).code)
	require.Equal(t, http.StatusNotFound, ask(a, api.Public, "GET", "/v1/mark", "").code, "for this machine only")
	require.Equal(t, http.StatusForbidden, askAs(12345, a, api.Local, "POST", "/v1/mark", `{"advance": 6}`).code)
}

func TestSlotsAreCountedFrom1970(t *testing.T) {
	at := time.Date(2026, 11, 29, 7, 59, 59, 999_999_999, time.FixedZone("", 3600))
	require.EqualValues(t, 29932259, api.SlotOf(at, time.Minute))
	require.EqualValues(t, 29932260, api.SlotOf(at.Add(1), time.Minute))
	require.EqualValues(t, 0, api.SlotOf(time.Unix(9, 0), 10*time.Second))
}
