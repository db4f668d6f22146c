package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"duckduckgoose/agent/election"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew; read the diff: every change of it breaks the wire")

const goldenFile = "testdata/golden.txt"

// goldenFrames has one frame of every kind, with every field of it set.
func goldenFrames() []struct {
	name  string
	frame *Frame
} {
	a, b, c := election.ID{0xA1}, election.ID{0xB1}, election.ID{0xC1}
	config := election.Config{ConfigID: election.ConfigID{Term: 6, Version: 2}}.
		With(election.Voter{ID: a, Priority: 100}).With(election.Voter{ID: b}).With(election.Voter{ID: c, Priority: 255})
	frame := func(ms ...election.Message) *Frame {
		f := &Frame{FlockID: flockID, From: a, To: b, Start: 3, Life: 0x0123456789ABCDEF, Seq: 70000}
		for i, m := range ms {
			m.Generation = election.Generation{Number: 1, Tag: 0xFEED}
			m.Term = 7
			m.ConfigID = config.ConfigID
			wm := Message{Election: uint64(i), Message: m}
			f.stamp(&wm)
			f.Messages = append(f.Messages, wm)
		}
		return f
	}
	founding := func(kind FoundingKind, reason uint8, set ...election.ID) *Frame {
		f := &Frame{From: a, To: b, Start: 1, Life: 0x0123456789ABCDEF, Seq: 2}
		f.Founding = Founding{Kind: kind, Attempt: 4, Expect: 3, Reason: reason, Set: set, FlockID: FoundingID([]election.ID{a, b, c}, 4)}
		return f
	}
	probe := func(p Probe) *Frame {
		f := frame()
		f.Probe = p
		return f
	}
	toLife := func(f *Frame) *Frame {
		f.ToLife = 0x1122334455667788
		for i := range f.Messages {
			f.stamp(&f.Messages[i])
		}
		return f
	}
	heartbeat := election.Message{Kind: election.Heartbeat, Round: 41, Promise: 500 * time.Millisecond, Ranks: [7]uint8{2, 1, 0}, RTT: 1500 * time.Microsecond}
	withConfig := heartbeat
	announce := election.Message{
		Kind: election.Announce, Goose: c, GooseTerm: 7, Round: 41, Promise: 500 * time.Millisecond, Held: 2 * time.Millisecond,
		Ages: [7]uint8{0, 9}, Config: config,
	}
	withConfig.Config = config
	withTable := withConfig
	withTable.Config.Table = election.Digest{0xD1}
	withAges := withConfig
	withAges.Ages = [7]uint8{0, 120, 255}
	ack := election.Message{Kind: election.HeartbeatAck, Round: 41, Promise: 500 * time.Millisecond}
	held := ack
	held.Held = 20 * time.Millisecond
	paused := ack
	paused.Pause = 20 * time.Millisecond
	markedBeat, markedAck := heartbeat, ack
	markedBeat.Mark, markedAck.Mark = 29_406_960, 29_406_960
	return []struct {
		name  string
		frame *Frame
	}{
		{"empty", frame()},
		{"pre-vote-request", frame(election.Message{Kind: election.PreVoteRequest, NextTerm: 8, Nonce: 0xCAFE})},
		{"pre-vote-reply", frame(election.Message{Kind: election.PreVoteReply, Nonce: 0xCAFE, Granted: true})},
		{"pre-vote-reply-refused", frame(election.Message{Kind: election.PreVoteReply, Nonce: 0xCAFE, Reason: election.Promised, Remaining: 321 * time.Millisecond, Config: config})},
		{"vote-request", frame(election.Message{Kind: election.VoteRequest})},
		{"vote-request-transfer", frame(election.Message{Kind: election.VoteRequest, TransferFrom: c, TransferTerm: 6})},
		{"vote-reply", frame(election.Message{Kind: election.VoteReply, Granted: true})},
		{"vote-reply-refused", frame(election.Message{Kind: election.VoteReply, Reason: election.OldConfig, Remaining: time.Hour, Config: config})},
		{"heartbeat", frame(heartbeat)},
		{"heartbeat-config", frame(withConfig)},
		{"heartbeat-table", frame(withTable)},
		{"heartbeat-ages", frame(withAges)},
		{"heartbeat-mark", frame(markedBeat)},
		{"heartbeat-ack", frame(ack)},
		{"heartbeat-ack-held", frame(held)},
		{"heartbeat-ack-mark", frame(markedAck)},
		{"heartbeat-ack-pause", frame(paused)},
		{"vote-reply-mark", frame(election.Message{Kind: election.VoteReply, Granted: true, Mark: 29_406_960})},
		{"reject", frame(election.Message{Kind: election.Reject, Config: config})},
		{"timeout-now", frame(election.Message{Kind: election.TimeoutNow})},
		{"resign", frame(election.Message{Kind: election.Resign})},
		{"leave", frame(election.Message{Kind: election.Leave})},
		{"leave-reply", frame(election.Message{Kind: election.LeaveReply, Granted: true})},
		{"announce", frame(announce)},
		{"two-elections", frame(heartbeat, ack)},
		{"heartbeat-to-life", toLife(frame(heartbeat))},
		{"probe-question", probe(Probe{Word: ProbeQuestion, Session: 0xBEEF, Number: 63, Padding: MinProbePadding})},
		{"probe-answer", probe(Probe{Word: ProbeAnswer, Session: 0xBEEF, Number: 63, Heard: 1<<63 | 5, At: 12345 * time.Second})},
		{"found-propose", founding(FoundPropose, 0, a, b, c)},
		{"found-accept", founding(FoundAccept, 0)},
		{"found-refuse", founding(FoundRefuse, 2)},
		{"found-abort", founding(FoundAbort, 0, a, b, c)},
	}
}

// goldenDatagrams has the outer layer, under a fixed nonce.
func goldenDatagrams(t *testing.T) []struct {
	name  string
	bytes []byte
} {
	plain, sealed := keyring(t, "default"), keyring(t, "default", 1)
	fixed := func(e *envelope, between ...byte) []byte {
		head := append(e.appendHead(nil), between...)
		return e.sealWith(append(head, bytes.Repeat([]byte{0x4E}, nonceSize)...), fromID[:])
	}
	return []struct {
		name  string
		bytes []byte
	}{
		{"datagram-plain", seal(t, plain, fromID[:])},
		{"datagram-sealed", fixed(&sealed.datagrams)},
		{"preface-plain", preface(t, plain, fromID)},
		{"preface-sealed", fixed(&sealed.prefaces, byte(idSize+sealSize))},
		{"gossip-plain", plain.SealGossip(nil, fromID[:])},
		{"gossip-sealed", fixed(&sealed.gossip)},
		{"request-plain", plain.SealStream(Request, fromID[:])},
		{"request-sealed", fixed(&sealed.requests, 0, 0, 0, byte(idSize+sealSize))},
		{"answer-plain", plain.SealStream(Answer, fromID[:])},
		{"answer-sealed", fixed(&sealed.answers, 0, 0, 0, byte(idSize+sealSize))},
	}
}

func TestBytesOnTheWireNeverChange(t *testing.T) {
	var text strings.Builder
	text.WriteString("# What each frame and each envelope looks like. A change here breaks running flocks.\n")
	for _, g := range goldenFrames() {
		fmt.Fprintf(&text, "%s %x\n", g.name, encode(t, g.frame))
	}
	for _, g := range goldenDatagrams(t) {
		fmt.Fprintf(&text, "%s %x\n", g.name, g.bytes)
	}
	if *rewrite {
		require.NoError(t, os.WriteFile(goldenFile, []byte(text.String()), 0o644))
	}
	want, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String())
}

func TestGoldenBytesAreUnderstood(t *testing.T) {
	golden := readGolden(t)
	var got Frame
	for _, g := range goldenFrames() {
		require.NoError(t, DecodeFrame(golden[g.name], &got), g.name)
		requireSame(t, g.frame, &got)
	}
	for name, ring := range map[string]*Keyring{"plain": keyring(t, "default"), "sealed": keyring(t, "default", 1)} {
		body, err := ring.Open(nil, golden["datagram-"+name])
		require.NoError(t, err)
		require.Equal(t, fromID[:], body)
		id, err := ReadPreface(bytes.NewReader(golden["preface-"+name]), ring)
		require.NoError(t, err)
		require.Equal(t, fromID, id)
	}
}

// readGolden returns the golden bytes by name.
func readGolden(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	golden := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		name, digits, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		golden[name], err = hex.DecodeString(digits)
		require.NoError(t, err)
	}
	return golden
}
