package wire

import (
	"fmt"
	"strings"
)

// The reasons why a datagram, or the opening of a stream, was dropped. A counter's name
// is "dropped_" and the reason.
const (
	DropShort        = "short"         // too few bytes to be ours
	DropTooLarge     = "too_large"     // beyond MaxDatagram, or MaxBody
	DropFirstByte    = "first_byte"    // not ours
	DropFrameVersion = "frame_version" // a version we do not speak
	DropChecksum     = "checksum"      // damaged on the way, or of another label
	DropUnsealed     = "unsealed"      // not sealed, and we hold a key
	DropUnknownKey   = "unknown_key"   // sealed with a key we do not hold
	DropSeal         = "seal"          // forged, damaged, or of another label
	DropMalformed    = "malformed"     // not msgpack, or not the fields we know
	DropTrailing     = "trailing"      // bytes behind the frame
	DropRange        = "range"         // a field has a value that no agent sends
	DropUnknownKind  = "unknown_kind"  // entries that Frame.Skipped counts, which is no error; and gossip of a type that agents do not send
	DropOldGossip    = "old_gossip"    // gossip of a former version
)

// Reasons returns every reason for a drop, so that all counters can be made at start.
func Reasons() []string {
	return []string{
		DropShort, DropTooLarge, DropFirstByte, DropFrameVersion, DropChecksum, DropUnsealed,
		DropUnknownKey, DropSeal, DropMalformed, DropTrailing, DropRange, DropUnknownKind, DropOldGossip,
	}
}

// DropError says why something received was dropped, or why a frame cannot be sent.
type DropError struct {
	Reason string // one of Reasons
	Detail string // for people; "": Reason is enough
	// KeyID names the sender's key, for DropUnknownKey and DropSeal.
	KeyID string
	// Held has the names of our keys, the sealing one first; for DropUnknownKey and
	// DropUnsealed.
	Held []string

	own bool // this agent made the frame: it cannot be sent
}

// Error returns one line. For a received datagram, the caller puts the sender's address
// and a space before it.
func (e *DropError) Error() string {
	held := "none"
	if len(e.Held) > 0 {
		held = strings.Join(e.Held, ", ")
	}
	switch e.Reason {
	case DropUnknownKey:
		return fmt.Sprintf("seals with key %s, we hold %s", e.KeyID, held)
	case DropUnsealed:
		return fmt.Sprintf("sends without a key, we hold %s", held)
	case DropFrameVersion:
		return "speaks frame version " + e.Detail
	case DropOldGossip:
		return "gossips as a former version of ddgoose does"
	case DropSeal:
		return fmt.Sprintf("sent what does not open with key %s: forged, damaged, or of another flock label", e.KeyID)
	case DropChecksum:
		return "sent what fails its checksum: damaged, or of another flock label"
	}
	if e.own {
		return fmt.Sprintf("cannot be sent: %s: %s", e.Reason, e.Detail)
	}
	return fmt.Sprintf("sent something that we refuse: %s: %s", e.Reason, e.Detail)
}

func drop(reason, detail string) *DropError { return &DropError{Reason: reason, Detail: detail} }

func outOfRange(what string, n, limit uint64) *DropError {
	return drop(DropRange, fmt.Sprintf("%s %d: at most %d", what, n, limit))
}

func outOfSize(what string, n, limit int) *DropError {
	return drop(DropTooLarge, fmt.Sprintf("%s of %d bytes: at most %d", what, n, limit))
}

// ours marks the error of a frame that this agent made.
func (e *DropError) ours() *DropError {
	e.own = true
	return e
}
