package wire

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// KeyID returns the id of a key, which does not reveal it: 8 hexadecimal digits, as in
// "seals with key 9c0a41f2".
func KeyID(key []byte) string {
	id := keyID(key)
	return hex.EncodeToString(id[:])
}

func keyID(key []byte) [keyIDSize]byte {
	b, err := hkdf.Key(sha256.New, key, nil, "duckduckgoose key id 1", keyIDSize)
	if err != nil {
		panic(fmt.Sprintf("wire: deriving a key id: %v", err)) // it fails only for other lengths
	}
	id := [keyIDSize]byte(b)
	if id == ([keyIDSize]byte{}) {
		id[keyIDSize-1] = 1 // zero means "not sealed"
	}
	return id
}

// NewKey returns a random key as a line of a key file.
func NewKey() string {
	var key [KeySize]byte
	_, _ = rand.Read(key[:]) // it never fails: the process ends instead
	return base64.StdEncoding.EncodeToString(key[:]) + "\n"
}

// ParseKeys reads a key file: one line of base64 for each 32-byte key, the sealing one
// first. It ignores empty lines and comments (#). Errors name the line and never repeat
// its content.
func ParseKeys(text []byte) ([][]byte, error) {
	var keys [][]byte
	var lines []int // the line of each key
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("key file line %d: not base64: want one line of base64 for each key of %d bytes", n, KeySize)
		}
		if len(key) != KeySize {
			return nil, fmt.Errorf("key file line %d: key of %d bytes: want %d", n, len(key), KeySize)
		}
		for i := range keys {
			if bytes.Equal(keys[i], key) {
				return nil, fmt.Errorf("key file line %d: repeats the key of line %d: name each once", n, lines[i])
			}
		}
		keys, lines = append(keys, key), append(lines, n)
	}
	if len(keys) == 0 {
		return nil, errors.New("key file has no key: want one line of base64 for each; ddgoose keygen makes one")
	}
	return keys, nil
}
