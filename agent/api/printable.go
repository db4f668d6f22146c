package api

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// Printable quotes text from the network that could control a terminal. Other text stays
// as it is.
func Printable(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
		return strconv.Quote(s)
	}
	return s
}

// Clean replaces the characters that [Printable] quotes.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// Quoted returns a word as a shell reads it.
func Quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/:=,@+%", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// EscapeJSON escapes characters of valid JSON that could control a terminal, as \u:
// encoding/json leaves C1 and bidi controls as they are. The value stays the same.
func EscapeJSON(line []byte) []byte {
	if !bytes.ContainsFunc(line, unprintable) {
		return line
	}
	var out []byte
	for _, r := range string(line) {
		switch {
		case r <= unicode.MaxASCII || unicode.IsPrint(r): // JSON has no ASCII control inside a string
			out = append(out, string(r)...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
