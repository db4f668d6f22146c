package gossip

import (
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// Extras are values that travel among the tags, under keys that no tag can have.
// A version that has no extras shows them as tags, and does no other harm. Later
// ones drop those that they do not know.
const (
	extraMark    = "!"
	preemptExtra = extraMark + "p" // seconds, in base 36
	freezeExtra  = extraMark + "f" // stamp, point, seconds that are left, in base 36
	// electionsExtra is a hash, in base 36.
	electionsExtra = extraMark + "e"
	configExtra    = extraMark + "c" // generation, point, term, point, version, in base 36
	versionExtra   = extraMark + "v" // text
	relaysExtra    = extraMark + "r" // nothing
	// maxVersion bounds the text of versionExtra, in bytes.
	maxVersion = 40
	// extrasRoom is kept free by tags: the most bytes that the extras take on which agents rely.
	extrasRoom = (1 + 2 + 1 + 4) + (1 + 2 + 1 + 12 + 1 + 4) + (1 + 2 + 1 + 13)
	extraBase  = 36
)

// appendExtras adds the extras that are set.
func appendExtras(b []byte, p *member.Meta) []byte {
	if p.PreemptAfter > 0 {
		b = appendText(appendText(b, preemptExtra), inSeconds(p.PreemptAfter, member.MaxPreemptAfter))
	}
	if p.Freeze.Stamp > 0 {
		stamp := strconv.FormatUint(min(p.Freeze.Stamp, member.LastStamp), extraBase)
		b = appendText(appendText(b, freezeExtra), stamp+"."+inSeconds(p.Freeze.Left, member.MaxFreeze))
	}
	if p.Elections > 0 {
		b = appendText(appendText(b, electionsExtra), strconv.FormatUint(p.Elections, extraBase))
	}
	if p.RelaysAll {
		b = appendIfRoom(b, relaysExtra, "") // where it has none, geese go on to tell all agents themselves
	}
	if c := p.Config; c.Known {
		text := strconv.FormatUint(c.Generation, extraBase) + "." + strconv.FormatUint(c.ID.Term, extraBase) + "." + strconv.FormatUint(c.ID.Version, extraBase)
		b = appendIfRoom(b, configExtra, text) // datagrams show the config too
	}
	if v := cleanVersion(p.Version); v != "" {
		b = appendIfRoom(b, versionExtra, v)
	}
	return b
}

// appendIfRoom adds an extra unless tags have taken its room.
func appendIfRoom(b []byte, key, text string) []byte {
	if extra := appendText(appendText(nil, key), text); len(b)+len(extra) <= metaRoom {
		return append(b, extra...)
	}
	return b
}

// cleanVersion returns the first bytes of a version; "" when it cannot be shown.
func cleanVersion(text string) string {
	if text = text[:min(len(text), maxVersion)]; ValidText(text) {
		return text
	}
	return ""
}

// takeExtra reads an extra. It returns false for a tag.
func takeExtra(p *member.Meta, key, value string) bool {
	if !strings.HasPrefix(key, extraMark) {
		return false
	}
	switch key {
	case preemptExtra:
		p.PreemptAfter = ofSeconds(value, member.MaxPreemptAfter)
	case electionsExtra:
		p.Elections, _ = strconv.ParseUint(value, extraBase, 64)
	case relaysExtra:
		p.RelaysAll = true
	case versionExtra:
		p.Version = cleanVersion(value)
	case configExtra:
		p.Config = shownConfig(value)
	case freezeExtra:
		stamp, left, _ := strings.Cut(value, ".")
		if n, err := strconv.ParseUint(stamp, extraBase, 64); err == nil && n <= member.LastStamp {
			p.Freeze = member.FreezeNotice{Stamp: n, Left: ofSeconds(left, member.MaxFreeze)}
		}
	}
	return true
}

// shownConfig reads a config's number; it is zero for a text of another form.
func shownConfig(text string) (c member.ShownConfig) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return c
	}
	var numbers [3]uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, extraBase, 64)
		if err != nil {
			return c
		}
		numbers[i] = n
	}
	return member.ShownConfig{Known: true, Generation: numbers[0], ID: election.ConfigID{Term: numbers[1], Version: numbers[2]}}
}

// inSeconds writes a duration, rounded up.
func inSeconds(d, most time.Duration) string {
	return strconv.FormatInt(int64((min(max(d, 0), most)+time.Second-1)/time.Second), extraBase)
}

// ofSeconds reads a duration; 0 for a text of another form.
func ofSeconds(text string, most time.Duration) time.Duration {
	n, err := strconv.ParseInt(text, extraBase, 64)
	if err != nil || n < 0 || n > int64(most/time.Second) {
		return 0
	}
	return time.Duration(n) * time.Second
}
