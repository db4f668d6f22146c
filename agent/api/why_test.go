package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestWhyIsAnsweredOnTheSocketOnly(t *testing.T) {
	a := apitest.New()
	require.Equal(t, http.StatusNotFound, ask(a, api.Public, "GET", "/v1/why", "").code)
	require.Equal(t, http.StatusMethodNotAllowed, ask(a, api.Local, "POST", "/v1/why", "").code)
	require.Empty(t, a.Heard())
	got := ask(a, api.Local, "GET", "/v1/why", "")
	require.Equal(t, http.StatusOK, got.code)
	text, err := json.Marshal(apitest.Why())
	require.NoError(t, err)
	require.JSONEq(t, string(text), got.body)
	a.Fail(errors.New("no more"))
	require.Equal(t, http.StatusInternalServerError, ask(a, api.Local, "GET", "/v1/why", "").code)
	text, err = json.Marshal(api.Why{})
	require.NoError(t, err)
	require.NotContains(t, string(text), "null")
}
