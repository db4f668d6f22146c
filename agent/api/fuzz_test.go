package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// FuzzBodies: whatever a command's body is, it is done or refused as input,
// never both, and the answer is JSON.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		``, ` `, `{}`, `null`, `[]`, `"x"`, `{"to":"c"}`, `{"force":true}`, `{"name":"b"}`, `{"addrs":["b","c"]}`, `{"for":"10s"}`,
		`{"for":"-1s"}`, `{"for":"9223372036854775807h"}`, `{"rules":"*: cut","for":"1ns"}`, `{"rules":7}`, `{"to":"c"}{}`, `{"to":"\ud800"}`, "\xff",
	} {
		for i := range commands {
			f.Add(i, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		c := commands[uint(i)%uint(len(commands))]
		a := apitest.New()
		got := ask(a, api.Local, c.method, c.path, string(body))
		require.True(t, json.Valid([]byte(got.body)), got.body)
		if got.code == http.StatusOK {
			require.Len(t, a.Heard(), 1)
			return
		}
		require.Equal(t, http.StatusBadRequest, got.code)
		require.Empty(t, a.Heard())
		var e api.Error
		require.NoError(t, json.Unmarshal([]byte(got.body), &e))
		require.NotEmpty(t, e.Error)
	})
}

// FuzzLeadLines: whatever a holder writes, only tokens above 0 reach the agent.
func FuzzLeadLines(f *testing.F) {
	for _, lines := range []string{
		"", "\n\n", `{}`, `null`, "{\"drained\":7}\n", `{"drained":7,"step_down":true}`, "{\"late\":7}\r\n{\"drained\":7}", `{"drained":-1}`,
		`{"drained":18446744073709551616}`, `{"step_down":true}`, "{\"drained\":7}\n\xff",
	} {
		f.Add([]byte(lines))
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		var h apitest.Holder
		if err := api.HearLines(&h, lines); err != nil {
			require.ErrorIs(t, err, api.ErrInput)
		}
		require.NotContains(t, h.Heard(), "drained 0")
		require.NotContains(t, h.Heard(), "drained 0, step down")
		require.NotContains(t, h.Heard(), "late 0")
	})
}
