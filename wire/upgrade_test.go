package wire

import (
	"bytes"
	"testing"
	"time"

	"duckduckgoose/agent/election"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

var (
	flockID = election.FlockID{0xF1}
	fromID  = election.ID{0xA1}
	toID    = election.ID{0xB1}
)

// pack encodes an array by the library's own reflection: what another program,
// or a later version of ours, could send.
func pack(t testing.TB, fields ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.UseCompactInts(true)
	require.NoError(t, e.Encode(fields))
	return b.Bytes()
}

// A later minor version appends fields everywhere, of every type, and sends
// kinds that this one has never heard of.
func TestLaterMinorVersionIsUnderstood(t *testing.T) {
	added := []any{map[string]any{"new": true}, "text", 3.5, nil, -7, make([]byte, 40),
		msgpack.RawMessage{0xD6, 1, 2, 3, 4, 5}, msgpack.RawMessage{0xC7, 2, 1, 0xAA, 0xBB}} // extension types
	more := func(fields ...any) []any { return append(fields, added...) }
	voters := append(append([]byte(nil), fromID[:]...), 100)
	voters = append(append(voters, toID[:]...), 0)
	config := []any{uint64(6), uint64(2), voters, nil, "text", 3.5} // depth 4: nothing can nest below
	heartbeat := append([]any{uint64(0), uint64(election.Heartbeat), uint64(1), uint64(0xFEED), uint64(7), uint64(6), uint64(2),
		uint64(41), uint64(500 * time.Millisecond), []byte{1, 0, 0, 0, 0, 0, 0}, uint64(time.Millisecond), config, []byte{0, 9, 0, 0, 0, 0, 0}, uint64(77)}, added...)
	heartbeat = append(heartbeat, []any{1, 2})
	set := append(append([]byte(nil), fromID[:]...), toID[:]...)
	founded := FoundingID([]election.ID{fromID, toID}, 9)
	body := pack(t, flockID[:], fromID[:], toID[:], uint64(3), uint64(1<<60), uint64(99),
		[]any{
			more(uint64(0), uint64(77), "a kind", "of tomorrow"),
			heartbeat,
			[]any{uint64(0), uint64(1 << 40)},
			more(uint64(5), uint64(election.Resign), uint64(0), uint64(0), uint64(8), uint64(6), uint64(2)),
		},
		more(uint64(FoundPropose), founded[:], uint64(9), uint64(2), uint64(0), set), uint64(1<<61), map[string]any{"new": true}, "text")

	var got Frame
	require.NoError(t, DecodeFrame(body, &got))
	want := Frame{FlockID: flockID, From: fromID, To: toID, Start: 3, Life: 1 << 60, Seq: 99, ToLife: 1 << 61, Skipped: 2,
		Messages: []Message{
			{Message: election.Message{
				Kind: election.Heartbeat, Round: 41, Promise: 500 * time.Millisecond, Ranks: [7]uint8{1}, Ages: [7]uint8{0, 9}, Mark: 77, RTT: time.Millisecond,
				Header: election.Header{Generation: election.Generation{Number: 1, Tag: 0xFEED}, Term: 7, ConfigID: election.ConfigID{Term: 6, Version: 2}},
				Config: election.Config{ConfigID: election.ConfigID{Term: 6, Version: 2}}.With(election.Voter{ID: fromID, Priority: 100}).With(election.Voter{ID: toID}),
			}},
			{Election: 5, Message: election.Message{
				Kind:   election.Resign,
				Header: election.Header{Term: 8, ConfigID: election.ConfigID{Term: 6, Version: 2}},
			}},
		},
		Founding: Founding{Kind: FoundPropose, FlockID: founded, Attempt: 9, Expect: 2, Set: []election.ID{fromID, toID}},
	}
	for i := range want.Messages {
		want.stamp(&want.Messages[i])
	}
	requireSame(t, &want, &got)
}

// An agent of an older version skips the receiver's life: it follows all fields that
// such an agent knows, and changes nothing there. One that knows no life sends the
// bytes of before.
func TestReceiversLifeIsAddedBehindTheRest(t *testing.T) {
	for _, g := range goldenFrames() {
		f := *g.frame
		f.ToLife = 0
		without := encode(t, &f)
		f.ToLife = 1 << 61
		with := encode(t, &f)
		require.Equal(t, append(append([]byte{without[0] + 1}, without[1:]...), 0xCF, 0x20, 0, 0, 0, 0, 0, 0, 0), with, g.name)
	}
	var got Frame
	for _, life := range []any{-1, nil, "text", 1.5} {
		requireDrop(t, DecodeFrame(pack(t, flockID[:], fromID[:], toID[:], uint64(3), uint64(4), uint64(5), []any{}, nil, life), &got), DropMalformed)
	}
}

// So are ages: an agent of before skips them behind a heartbeat's config, and
// heartbeats of which every voter answers are the bytes of before.
func TestAgesAreAddedBehindTheRestOfAHeartbeat(t *testing.T) {
	golden := readGolden(t)
	without, with := golden["heartbeat-config"], golden["heartbeat-ages"]
	ages := append([]byte{0xC4, 7}, 0, 120, 255, 0, 0, 0, 0)
	i := 0
	for without[i] == with[i] {
		i++
	}
	end := len(without) - 1 // nil: no founding
	grown := append(append(append([]byte(nil), without[:end]...), ages...), without[end])
	grown[i]++ // one field more
	require.Equal(t, grown, with)
	m := &Message{Message: election.Message{Kind: election.Heartbeat}}
	require.True(t, packable(m))
	m.Ages[2] = 1
	require.False(t, packable(m), "a packed one has no place for them")
}

// So are marks and pauses: an agent of before skips them behind the fields that it knows, and
// messages without one are the bytes of before.
func TestMarksAndPausesAreAddedBehindTheRest(t *testing.T) {
	golden := readGolden(t)
	for _, c := range []struct {
		without, with string
		added         []byte
		fields        byte
	}{
		{"heartbeat", "heartbeat-mark", []byte{0xC4, 7, 0, 0, 0, 0, 0, 0, 0, 0xCE, 0x01, 0xC0, 0xB6, 0xF0}, 2},
		{"heartbeat-ack", "heartbeat-ack-mark", []byte{0, 0, 0xCE, 0x01, 0xC0, 0xB6, 0xF0}, 3},
		{"heartbeat-ack", "heartbeat-ack-pause", []byte{0, 0, 0, 0xCE, 0x01, 0x31, 0x2D, 0x00}, 4},
		{"vote-reply", "vote-reply-mark", []byte{0xCE, 0x01, 0xC0, 0xB6, 0xF0}, 1},
	} {
		without, with := golden[c.without], golden[c.with]
		i := 0
		for without[i] == with[i] {
			i++
		}
		end := len(without) - 1 // nil: no founding
		grown := append(append(append([]byte(nil), without[:end]...), c.added...), without[end])
		grown[i] += c.fields
		require.Equal(t, grown, with, c.with)
	}
	for _, kind := range []election.Kind{election.Heartbeat, election.HeartbeatAck} {
		m := &Message{Message: election.Message{Kind: kind}}
		require.True(t, packable(m))
		m.Mark = 1
		require.False(t, packable(m), "a packed one has no place for it")
		m.Mark, m.Pause = 0, time.Millisecond
		require.Equal(t, kind == election.Heartbeat, packable(m), "only an ack tells a pause")
	}
	f := goldenFrames()[0].frame
	f.Messages = []Message{{Message: election.Message{Kind: election.Heartbeat, Mark: election.MaxMark + 1}}}
	_, err := AppendFrame(nil, f)
	require.Error(t, err)
}

func TestUnknownFoundingIsSkipped(t *testing.T) {
	body := pack(t, flockID[:], fromID[:], toID[:], uint64(3), uint64(4), uint64(5), []any{}, []any{uint64(9), "new"})
	var got Frame
	require.NoError(t, DecodeFrame(body, &got))
	require.Zero(t, got.Founding.Kind)
	require.Equal(t, 1, got.Skipped)
}

func TestMissingFieldsAreMalformed(t *testing.T) {
	var got Frame
	for n := range 8 {
		fields := []any{flockID[:], fromID[:], toID[:], uint64(3), uint64(4), uint64(5), []any{}, nil}
		requireDrop(t, DecodeFrame(pack(t, fields[:n]...), &got), DropMalformed)
	}
	entry := []any{uint64(0), uint64(election.HeartbeatAck), uint64(0), uint64(0), uint64(8), uint64(6), uint64(2), uint64(3), uint64(4)}
	for n := range entry {
		body := pack(t, flockID[:], fromID[:], toID[:], uint64(3), uint64(4), uint64(5), []any{entry[:n]}, nil)
		requireDrop(t, DecodeFrame(body, &got), DropMalformed)
	}
	body := pack(t, flockID[:], fromID[:], toID[:], uint64(3), uint64(4), uint64(5), []any{entry}, nil)
	require.NoError(t, DecodeFrame(body, &got))
}

func TestConfigWithoutWholeVotersIsDropped(t *testing.T) {
	var got Frame
	for _, n := range []int{0, 1, 16, 18, 8 * 17} {
		reject := []any{uint64(0), uint64(election.Reject), uint64(0), uint64(0), uint64(8), uint64(6), uint64(2),
			[]any{uint64(1), uint64(1), make([]byte, n)}}
		body := pack(t, flockID[:], fromID[:], toID[:], uint64(3), uint64(4), uint64(5), []any{reject}, nil)
		requireDrop(t, DecodeFrame(body, &got), DropRange)
	}
}
