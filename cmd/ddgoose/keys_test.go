package main

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/wire"
)

const keysPicture = `Key       Seals at  Held by  Missing at
9c0a41f2  a         a        -
3f12ab00  -         a        -
warning: b is absent: refused, unless it holds key 9c0a41f2
`

func TestKeysComeFromAFileAnArgumentOrTheStandardInput(t *testing.T) {
	key := make([]byte, 32)
	key[5] = 7
	line := base64.StdEncoding.EncodeToString(key)
	file := filepath.Join(t.TempDir(), "new.key")
	require.NoError(t, os.WriteFile(file, []byte("# new\n"+line+"\n"), 0o600))
	id := wire.KeyID(key)
	for _, c := range []struct {
		stdin string
		args  []string
		heard string
	}{
		{"", []string{"list"}, "keys"},
		{"", []string{"install", "--file", file}, "install key " + hex.EncodeToString(key)},
		{"", []string{"install", line}, "install key " + hex.EncodeToString(key)},
		{line + "\n", []string{"install"}, "install key " + hex.EncodeToString(key)},
		{line, []string{"install", "-"}, "install key " + hex.EncodeToString(key)},
		{"", []string{"use", "--file", file}, "use key " + id},
		{"", []string{"use", id}, "use key " + id},
		{line, []string{"use"}, "use key " + id},
		{id + "\n", []string{"remove"}, "remove key " + id},
		{"", []string{"remove", line}, "remove key " + id},
	} {
		a, socket := fake(t)
		args := append([]string{"keys"}, c.args...)
		require.Equal(t, outcome{stdout: keysPicture}, runWith(t, c.stdin, append(args, "--socket", socket)...), "%v", c.args)
		require.Equal(t, []string{c.heard}, a.Heard())
		got := runWith(t, c.stdin, append(args, "--json", "--socket", socket)...)
		require.Zero(t, got.code)
		require.Contains(t, got.stdout, `"keys":[{"id":"9c0a41f2","sealing":["a"],"holding":["a"],"missing":[]}`)
	}
}

func TestBadKeysAreRefusedAndNeverRepeated(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	short := base64.StdEncoding.EncodeToString(make([]byte, 31))
	other := base64.StdEncoding.EncodeToString(append(make([]byte, 31), 1))
	for _, c := range []struct {
		stdin, args, err string
	}{
		{"", "install 9c0a41f2", "9c0a41f2 is the id of a key: want the key itself"},
		{"", "install " + short, "KEY: key file line 1: key of 31 bytes: want 32"},
		{"", "use not-a-key-at-all", "KEY: key file line 1: not base64"},
		{"", "remove", "the standard input: key file has no key"},
		{key + "\n" + other, "use", "the standard input holds 2 keys: want a single key"},
		{"", "use " + key + " " + other, "ddgoose keys use takes one key"},
		{"", "use " + key + " --file x", "ddgoose keys use takes one key"},
	} {
		a, socket := fake(t)
		got := runWith(t, c.stdin, append(strings.Fields("keys "+c.args), "--socket", socket)...)
		require.Equal(t, 2, got.code, c.args)
		require.Contains(t, got.stderr, c.err)
		require.NotContains(t, got.stderr, key)
		require.NotContains(t, got.stderr, short)
		require.Empty(t, a.Heard())
	}
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: ddgoose keys wants a command: install list remove use (ddgoose keys --help tells more)\n"}, run(t, "keys"))
	require.Equal(t, 1, run(t, "keys", "use", "--file", filepath.Join(t.TempDir(), "none"), "--socket", "a").code)
}
