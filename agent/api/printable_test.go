package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// hostile are texts that command a terminal: C0, C1, bidi, an invisible tag, a line separator.
var hostile = []string{"a\x1b[2Jb", "a\u009b2Jb", "a\u202eb", "a\U000e0041b", "a\u2028b", "a\u200bb"}

func TestHostileTextIsQuotedCleanedAndEscaped(t *testing.T) {
	for _, s := range append(hostile, "a\xffb") {
		require.NotEqual(t, s, api.Printable(s))
		require.Equal(t, api.Printable(s), api.Printable(api.Printable(s)), "what is quoted is printable")
		require.Equal(t, api.Clean(s), api.Printable(api.Clean(s)))
	}
	for _, s := range []string{"", "gänse-3", "鴨 🦆", `say "goose"`} {
		require.Equal(t, s, api.Printable(s))
		require.Equal(t, s, api.Clean(s))
	}
}

func TestEscapedJSONIsPrintableAndMeansTheSame(t *testing.T) {
	for _, s := range append(hostile, `gänse "鴨" \u202e`) {
		line, err := json.Marshal(map[string]string{s: s})
		require.NoError(t, err)
		escaped := api.EscapeJSON(line)
		require.Equal(t, string(escaped), api.Printable(string(escaped)))
		var got map[string]string
		require.NoError(t, json.Unmarshal(escaped, &got))
		require.Equal(t, map[string]string{s: s}, got)
	}
}
