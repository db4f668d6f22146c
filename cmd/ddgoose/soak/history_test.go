package soak

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/fence"
)

func TestFencedFileTakesTokensThatGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fenced")
	for _, step := range []attempt{
		{Writer: "a", Token: 8}, {Writer: "a", Token: 8}, {Writer: "b", Token: 1 << 40}, {Writer: "a", Token: 8},
		{Writer: "c", Token: 1<<40 + 9}, {Writer: "b", Token: 1 << 40}, {Writer: "c", Token: 1<<40 + 9},
	} {
		own, err := openFenced(path, "flock") // every writer opens it for itself
		require.NoError(t, err)
		require.NoError(t, own.write(t.Context(), step))
		require.NoError(t, own.close())
	}
	h, err := readHistory(path, 0)
	require.NoError(t, err)
	require.Equal(t, History{Accepted: 5, Refused: 2, Tokens: 3}, h.History)
}

func TestFencedFileIsNotWaitedForLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fenced")
	entry, err := fence.File{Path: path}.Enter(t.Context(), 1)
	require.NoError(t, err)
	defer entry.Close()
	f, err := openFenced(path, "")
	require.NoError(t, err)
	defer f.close()
	require.ErrorIs(t, f.write(t.Context(), attempt{Token: 2}), errBusy)
}

func TestHistoryFindsWhatMustNeverBe(t *testing.T) {
	const good = `{"writer":"a","token":1,"checked":10,"at":20}
{"writer":"b","token":2,"checked":30,"at":40}
{"writer":"a","token":1,"checked":25,"at":50,"highest":2}
`
	for name, tt := range map[string]struct{ old, new, want string }{
		"nothing":                     {"", "", ""},
		"a lower token accepted":      {`,"highest":2`, ``, "token 1 of a was accepted after token 2"},
		"two geese by what they held": {`"checked":25`, `"checked":45`, "a held a valid lease of token 1 at 45ns, after token 2 had written at 40ns"},
		"one token at two":            {`"writer":"b","token":2`, `"writer":"b","token":1`, "token 1 was a's and b's"},
		"a good token refused":        {`"highest":2`, `"highest":1`, "token 1 of a was refused because of token 1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "fenced")
			require.Contains(t, good, tt.old)
			require.NoError(t, os.WriteFile(journalOf(path), []byte(strings.Replace(good, tt.old, tt.new, 1)), 0o600))
			h, err := readHistory(path, 0)
			require.NoError(t, err)
			if tt.want == "" {
				require.Empty(t, h.Broken)
				return
			}
			require.Contains(t, strings.Join(h.Broken, "\n"), tt.want)
		})
	}
}

func TestHistoryWithoutAJournalIsEmpty(t *testing.T) {
	h, err := readHistory(filepath.Join(t.TempDir(), "none"), time.Second)
	require.NoError(t, err)
	require.Zero(t, h.Accepted)
}
