package agent

import (
	"strconv"
	"strings"
	"time"
)

// Metadata may hold words of ours among the tags, by keys that no tag can have.
// A version that does not know one shows it as a tag, and nothing worse; we drop
// those that we do not know.
const (
	wordMark    = "!"
	preemptWord = wordMark + "p" // seconds, in base 36
	freezeWord  = wordMark + "f" // stamp, point, seconds that are left, in base 36
	// electionsWord is a hash, in base 36.
	electionsWord = wordMark + "e"
	// wordsRoom is what they may take at the most; it is kept free of tags.
	wordsRoom = (1 + 2 + 1 + 4) + (1 + 2 + 1 + 12 + 1 + 4) + (1 + 2 + 1 + 13)
	wordsBase = 36
)

// appendWords adds those that say something.
func (p *peerMeta) appendWords(b []byte) []byte {
	if p.PreemptAfter > 0 {
		b = appendText(appendText(b, preemptWord), inSeconds(p.PreemptAfter, MaxPreemptAfter))
	}
	if p.Freeze.Stamp > 0 {
		stamp := strconv.FormatUint(min(p.Freeze.Stamp, 1<<61), wordsBase)
		b = appendText(appendText(b, freezeWord), stamp+"."+inSeconds(p.Freeze.Left, MaxFreeze))
	}
	if p.Elections > 0 {
		b = appendText(appendText(b, electionsWord), strconv.FormatUint(p.Elections, wordsBase))
	}
	return b
}

// takeWord reads one, if it is one.
func (p *peerMeta) takeWord(key, value string) bool {
	if !strings.HasPrefix(key, wordMark) {
		return false
	}
	switch key {
	case preemptWord:
		p.PreemptAfter = ofSeconds(value, MaxPreemptAfter)
	case electionsWord:
		p.Elections, _ = strconv.ParseUint(value, wordsBase, 64)
	case freezeWord:
		stamp, left, _ := strings.Cut(value, ".")
		if n, err := strconv.ParseUint(stamp, wordsBase, 64); err == nil && n <= 1<<61 {
			p.Freeze = freezeNotice{Stamp: n, Left: ofSeconds(left, MaxFreeze)}
		}
	}
	return true
}

// inSeconds writes a duration, rounded up.
func inSeconds(d, most time.Duration) string {
	return strconv.FormatInt(int64((min(max(d, 0), most)+time.Second-1)/time.Second), wordsBase)
}

// ofSeconds reads one; what is none is 0.
func ofSeconds(text string, most time.Duration) time.Duration {
	n, err := strconv.ParseInt(text, wordsBase, 64)
	if err != nil || n < 0 || n > int64(most/time.Second) {
		return 0
	}
	return time.Duration(n) * time.Second
}
