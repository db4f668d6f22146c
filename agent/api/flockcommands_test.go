package api_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestFlockCommandsAreForTheSocketOnly(t *testing.T) {
	for _, c := range []struct{ method, path string }{
		{"POST", "/v1/doctor"}, {"GET", "/v1/keys"}, {"POST", "/v1/keys/install"}, {"POST", "/v1/keys/use"}, {"POST", "/v1/keys/remove"},
	} {
		a := apitest.New()
		require.Equal(t, http.StatusNotFound, ask(a, api.Public, c.method, c.path, "").code)
		require.Empty(t, a.Heard())
		if c.method == "POST" {
			require.Equal(t, http.StatusForbidden, askAs(4711, a, api.Local, c.method, c.path, "").code, c.path)
			require.Equal(t, http.StatusMethodNotAllowed, ask(a, api.Local, "GET", c.path, "").code, c.path)
		}
	}
}

func TestDoctorAndKeysAnswer(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, c := range []struct{ method, path, body, heard string }{
		{"POST", "/v1/doctor", ``, "doctor for 2s"},
		{"POST", "/v1/doctor", `{"for": "5s"}`, "doctor for 5s"},
		{"GET", "/v1/keys", ``, "keys"},
		{"POST", "/v1/keys/install", `{"key": "` + key + `"}`, "install key 0000000000000000000000000000000000000000000000000000000000000000"},
		{"POST", "/v1/keys/use", `{"key_id": "9c0a41f2"}`, "use key 9c0a41f2"},
		{"POST", "/v1/keys/remove", `{"key_id": "9c0a41f2"}`, "remove key 9c0a41f2"},
	} {
		a := apitest.New()
		got := ask(a, api.Local, c.method, c.path, c.body)
		require.Equal(t, http.StatusOK, got.code, got.body)
		require.Equal(t, []string{c.heard}, a.Heard())
		var want any = apitest.Keys()
		if c.path == "/v1/doctor" {
			want = apitest.Doctor()
		}
		text, err := json.Marshal(want)
		require.NoError(t, err)
		require.JSONEq(t, string(text), got.body)
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	for _, v := range []any{api.Doctor{Deaths: []api.Death{{}}}, api.Keys{Keys: []api.Key{{}}, Agents: []api.KeyHolder{{}}}} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.NotContains(t, string(text), "null")
	}
}
