package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

func TestHistoryListsPeriodsAndGaps(t *testing.T) {
	_, socket := fake(t)
	local := func(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04:05.000") }
	require.Equal(t, outcome{stdout: `From                     For        Goose     Token  Ended
` + local(1_800_000_060_500) + `  until now  a         7      running
` + local(1_800_000_060_000) + `  500ms      no goose         
` + local(1_800_000_000_000) + `  1m0s       b         6      step-down: step-down asked for by root
`}, run(t, "history", "--socket", socket))
	require.JSONEq(t, `{"periods": [
		{"token": 7, "name": "a", "id": "9f000000000000000000000000000000", "from": "2027-01-15T08:01:00.500Z", "to": null, "ended": "running"},
		{"token": 6, "name": "b", "id": "b1", "from": "2027-01-15T08:00:00.000Z", "to": "2027-01-15T08:01:00.000Z", "ended": "step-down", "reason": "step-down asked for by root"}
	], "gaps": [{"from": "2027-01-15T08:01:00.000Z", "to": "2027-01-15T08:01:00.500Z"}]}`, run(t, "history", "--socket", socket, "--json").stdout)

	now := time.UnixMilli(1_800_000_090_000)
	late := lately(apitest.History(), 29800*time.Millisecond, now)
	require.Len(t, late.Periods, 1)
	require.Len(t, late.Gaps, 1)
	require.Len(t, lately(apitest.History(), time.Hour, now).Periods, 2)
}
