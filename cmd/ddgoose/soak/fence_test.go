package soak

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newFence(t *testing.T) (*fence, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fenced")
	f, err := openFence(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.close()) })
	return f, path
}

func TestFenceTakesTokensThatGrow(t *testing.T) {
	f, path := newFence(t)
	for _, step := range []struct {
		writer string
		token  uint64
		ok     bool
	}{
		{"a", 8, true}, {"a", 8, true}, {"b", 1 << 40, true}, {"a", 8, false}, {"c", 1<<40 + 9, true}, {"b", 1 << 40, false}, {"c", 1<<40 + 9, true},
	} {
		// Every writer opens it for itself.
		own, err := openFence(path)
		require.NoError(t, err)
		a, err := own.write(attempt{Writer: step.writer, Token: step.token})
		require.NoError(t, err)
		require.Equal(t, step.ok, a.OK, "%+v", step)
		require.NoError(t, own.close())
	}
	h, err := readHistory(path, 0)
	require.NoError(t, err)
	require.Equal(t, History{Accepted: 5, Refused: 2, Tokens: 3}, h.History)
	require.NotNil(t, f)
}

func TestFenceWaitsForNobody(t *testing.T) {
	f, path := newFence(t)
	holds, err := openFence(path)
	require.NoError(t, err)
	defer holds.close()
	require.NoError(t, lockFile(holds.state))
	_, err = f.write(attempt{Token: 1})
	require.ErrorIs(t, err, errBusy)
}

func TestHistoryFindsWhatMustNeverBe(t *testing.T) {
	const good = `{"writer":"a","token":1,"checked":10,"at":20,"highest":0,"ok":true,"count":1}
{"writer":"b","token":2,"checked":30,"at":40,"highest":1,"ok":true,"count":2}
{"writer":"a","token":1,"checked":25,"at":50,"highest":2,"ok":false,"count":2}
`
	for name, tt := range map[string]struct{ old, new, want string }{
		"nothing":                     {"", "", ""},
		"a lower token accepted":      {`"at":50,"highest":2,"ok":false,"count":2`, `"at":50,"highest":2,"ok":true,"count":3`, "token 1 of a was accepted after token 2"},
		"two geese by what they held": {`"checked":25`, `"checked":45`, "a held a valid lease of token 1 at 45ns, after token 2 had written at 40ns"},
		"a write lost":                {`"count":2}` + "\n" + `{"writer":"a"`, `"count":1}` + "\n" + `{"writer":"a"`, "the file counts 1 writes, the journal 2"},
		"one token at two":            {`"writer":"b","token":2`, `"writer":"b","token":1`, "token 1 was a's and b's"},
		"a file that forgets":         {`"highest":1`, `"highest":0`, "the file's highest token was 0, and 1 had written"},
		"a good token refused":        {`"at":40,"highest":1,"ok":true,"count":2`, `"at":40,"highest":1,"ok":false,"count":1`, "token 2 of b was refused"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "fenced")
			text := good
			if tt.old != "" {
				require.Contains(t, text, tt.old)
				text = strings.Replace(text, tt.old, tt.new, 1)
			}
			require.NoError(t, os.WriteFile(journalOf(path), []byte(text), 0o600))
			h, err := readHistory(path, 0)
			require.NoError(t, err)
			if tt.want == "" {
				require.Empty(t, h.Broken)
				return
			}
			require.NotEmpty(t, h.Broken)
			require.Contains(t, strings.Join(h.Broken, "\n"), tt.want)
		})
	}
}

func TestHistoryWithoutAJournalIsEmpty(t *testing.T) {
	h, err := readHistory(filepath.Join(t.TempDir(), "none"), time.Second)
	require.NoError(t, err)
	require.Zero(t, h.Accepted)
}
