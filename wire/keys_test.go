package wire

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

func line(n byte) string { return base64.StdEncoding.EncodeToString(key(n)) }

func TestKeyFileHoldsOneKeyALine(t *testing.T) {
	for name, text := range map[string]string{
		"plain":         line(1) + "\n" + line(2) + "\n",
		"no last break": line(1) + "\n" + line(2),
		"comments":      "# new\n" + line(1) + " # the one that seals\n\n  \t\n#old\n" + line(2) + "#gone soon\n",
		"windows":       "\ufeff" + line(1) + "\r\n" + line(2) + "\r\n",
		"indented":      "  " + line(1) + "  \n\t" + line(2) + "\n",
	} {
		keys, err := ParseKeys([]byte(text))
		require.NoError(t, err, name)
		require.Equal(t, [][]byte{key(1), key(2)}, keys, name)
	}
}

func TestKeyFileErrorsNameTheLineAndNotTheKey(t *testing.T) {
	secret := line(1)[:40]
	for text, want := range map[string]string{
		"":                                   "key file has no key",
		"# only\n\n":                         "key file has no key",
		"# one\n" + secret + "!\n":           "line 2: not base64",
		line(2) + "\n" + line(1)[:43] + "\n": "line 2: not base64",
		line(2) + " " + line(1) + "\n":       "line 1: not base64",
		"\n\n" + secret + "\n":               "line 3: key of 30 bytes: want 32",
		line(2) + "\n" + line(1) + line(1)[:0] + "A": "line 2: not base64",
		line(1) + "\n#\n" + line(1) + "\n":           "line 3: repeats the key of line 1",
	} {
		keys, err := ParseKeys([]byte(text))
		require.ErrorContains(t, err, want)
		require.Nil(t, keys)
		require.NotContains(t, err.Error(), secret[:8])
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestKeyIDNamesAKeyWithoutGivingItAway(t *testing.T) {
	require.Regexp(t, `^[0-9a-f]{8}$`, KeyID(key(1)))
	require.NotEqual(t, KeyID(key(1)), KeyID(key(2)))
	require.NotEqual(t, "01010101", KeyID(key(1)))
}
