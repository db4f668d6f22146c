package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"duckduckgoose/agent/memtest"
)

// traffic is what real agents sent, by name; see testdata/gossip.txt.
func traffic(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/gossip.txt")
	require.NoError(t, err)
	all := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		if name, digits, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			all[name], err = hex.DecodeString(digits)
			require.NoError(t, err)
		}
	}
	return all
}

// rings are a ring without a key and one with.
func rings(t testing.TB) map[string]*Keyring {
	return map[string]*Keyring{"without a key": keyring(t, "default"), "with a key": keyring(t, "default", 1)}
}

// sealRaw seals any bytes as a datagram of gossip, as a key holder can.
func sealRaw(ring *Keyring, body []byte) []byte {
	return ring.gossip.seal(ring.gossip.appendHead(nil), body)
}

// openStream opens what SealStream returned.
func openStream(ring *Keyring, w Way, b []byte) ([]byte, int, error) {
	b = bytes.Clone(b) // it is opened in place
	if len(b) < StreamHead {
		return nil, 0, drop(DropShort, "")
	}
	n, err := ring.StreamSize(w, b)
	if err != nil {
		return nil, 0, err
	}
	if n > len(b)-StreamHead {
		return nil, 0, drop(DropShort, "")
	}
	return ring.OpenStream(w, b[:StreamHead], b[StreamHead:][:n])
}

func wayOf(name string) Way { return Way(strings.HasPrefix(name, "answer-")) }

// fields writes a message with the fields of a form, as memberlist does, but for one.
func fields(kind []byte, form []field, but string, value []byte) []byte {
	b := append(bytes.Clone(kind), 0x80|byte(len(form)))
	for _, f := range form {
		b = append(append(b, 0xA0|byte(len(f.name))), f.name...)
		if f.name == but {
			b = append(b, value...)
			continue
		}
		b = append(b, map[holds][]byte{
			aNumber: {7}, aPort: {0xCD, 14, 0xF1}, aState: {0}, aSize: {0}, nothing: {0xC0}, aBool: {0xC3},
			anID:      append([]byte{0xDA, 0, byte(idText)}, bytes.Repeat([]byte{'0'}, idText)...),
			anAddress: {0xA4, 10, 0, 0, 1}, someMeta: {0xA1, 1}, versions: {0xA6, 1, 5, 2, 0, 0, 0}, someText: {0xA1, 'x'},
		}[f.of]...)
	}
	return b
}

var forms = map[byte][]field{
	gossipPing: ping, gossipIndirect: indirect, gossipAck: ack, gossipNack: nack, gossipSuspect: accusal, gossipDead: accusal,
	gossipAlive: alive, gossipPushPull: pushPull, gossipUser: user, gossipError: failure,
}

// sized puts lengths before the parts of a compound packet.
func compound(parts ...[]byte) []byte {
	b := []byte{gossipCompound, byte(len(parts))}
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	}
	return append(b, bytes.Join(parts, nil)...)
}

// bombs are values that make a trusting decoder allocate or recurse without bound.
func bombs() map[string][]byte {
	all := map[string][]byte{
		"deep arrays": bytes.Repeat([]byte{0x91}, 900), "deep maps": bytes.Repeat([]byte{0x81}, 900), "wide arrays": bytes.Repeat([]byte{0x9F}, 900),
		"time": {0xD6, 0xFF, 1, 2, 3, 4}, "float": {0xCB, 0x7F, 0xF0, 0, 0, 0, 0, 0, 0}, "negative": {0xFF}, "very negative": {0xD3, 0x80, 0, 0, 0, 0, 0, 0, 0},
		"too much": {0xCF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, "never used": {0xC1}, "cut": {}, "cut in a length": {0xDA, 0xFF},
		"more text than there is": {0xDA, 0xFF, 0xFF, 'x'}, "another text": {0xA3, 'a', 0x1B, 'c'},
	}
	for name, code := range map[string]byte{"bin": 0xC6, "ext": 0xC9, "str": 0xDB, "array": 0xDD, "map": 0xDF} {
		for _, n := range []uint32{1 << 20, 1<<31 - 1, 1<<32 - 1} {
			all[fmt.Sprintf("%s of %d", name, n)] = binary.BigEndian.AppendUint32([]byte{code}, n)
		}
	}
	return all
}

// hostileGossip is what no agent sends.
func hostileGossip() map[string][]byte {
	all := map[string][]byte{
		"nothing": {}, "a type alone": {gossipAlive}, "a checksum": {gossipChecksum, 0, 0, 0, 0, gossipNack}, "a compound alone": {gossipCompound},
		"no parts": {gossipCompound, 0}, "parts that are not there": {gossipCompound, 255}, "an empty part": compound([]byte{}),
		"padding of memberlist's version 0": {0, 255, 255, 255}, "a label": append([]byte{labelByte, 7}, "default"...), "an unknown type": {14, 0x80},
		"sealed by memberlist": append([]byte{10, 0, 0, 1, 0}, make([]byte, 256)...), "an array": {gossipPing, 0x95, 1, 2, 3, 4, 5},
		"a map of 64 Ki": {gossipPing, 0xDE, 0xFF, 0xFF}, "a map of 4 Gi": {gossipPing, 0xDF, 0xFF, 0xFF, 0xFF, 0xFF},
		"LZW": append([]byte{9, 0x82, 0xA4, 'A', 'l', 'g', 'o', 0, 0xA3, 'B', 'u', 'f', 0xDA, 3, 0}, bytes.Repeat([]byte{0x80, 0x0B}, 384)...),
	}
	for kind, form := range forms {
		for name, bomb := range bombs() {
			all[fmt.Sprintf("type %d as %s", kind, name)] = append([]byte{kind}, bomb...)
			all[fmt.Sprintf("type %d under an unknown name, %s", kind, name)] = append([]byte{kind, 0x81, 0xA1, 'x'}, bomb...)
			for _, f := range form {
				if f.of == someMeta && name == "another text" {
					continue // metadata is bytes
				}
				m := fields([]byte{kind}, form, f.name, bomb)
				all[fmt.Sprintf("type %d, %s as %s", kind, f.name, name)] = m
				all[fmt.Sprintf("type %d in a compound, %s as %s", kind, f.name, name)] = compound(m)
			}
		}
		twice := bytes.Replace(fields([]byte{kind}, form, "", nil), []byte(form[0].name), []byte(form[len(form)-1].name), 1)
		if len(form) > 1 {
			twice[2] = 0xA0 | byte(len(form[len(form)-1].name))
			all[fmt.Sprintf("type %d, a field twice", kind)] = twice
		}
		all[fmt.Sprintf("type %d, trailing", kind)] = append(fields([]byte{kind}, form, "", nil), 0)
	}
	dead := fields([]byte{gossipDead}, accusal, "", nil)
	asks := fields([]byte{gossipPing}, ping, "", nil)
	all["a compound in a compound"] = compound(compound(dead))
	all["pings in a compound"] = compound(asks, asks)
	all["a ping behind news"] = compound(dead, asks)
	all["a ping to be passed on, and news"] = compound(fields([]byte{gossipIndirect}, indirect, "", nil), dead)
	all["an ack and news"] = compound(fields([]byte{gossipAck}, ack, "", nil), dead)
	all["bytes behind a compound"] = append(compound(dead), 0)
	all["a part that is longer than the packet"] = append(compound(dead)[:4], dead[:len(dead)-1]...)
	all["many parts"] = compound(slices.Repeat([][]byte{{gossipDead}}, maxParts+1)...)
	all["a ping to be passed on, without padding"] = fields([]byte{gossipIndirect}, indirect, "", nil)
	all["a user message in a packet"] = append([]byte{gossipUser}, "{}"...)
	return all
}

func TestRealGossipPasses(t *testing.T) {
	for which, ring := range rings(t) {
		for name, sent := range traffic(t) {
			if !strings.HasPrefix(name, "packet-") {
				got, _, err := openStream(ring, wayOf(name), ring.SealStream(wayOf(name), sent))
				require.NoError(t, err, "%s %s", name, which)
				require.Equal(t, sent, got)
				continue
			}
			datagram := ring.SealGossip(nil, sent)
			require.LessOrEqual(t, len(datagram), MaxDatagram)
			got, err := ring.OpenGossip([]byte("before"), datagram)
			require.NoError(t, err, "%s %s", name, which)
			require.True(t, bytes.HasPrefix(got, []byte("before")))
			require.Equal(t, bare(sent), got[len("before"):])
			require.True(t, bytes.Contains(sent, got[len(got)-9:]))
		}
	}
}

// memberlist adds news to whatever it sends, and a checksum.
func TestProbesTravelAlone(t *testing.T) {
	all := traffic(t)
	for name, first := range map[string]byte{
		"packet-compound-ping-alive": gossipPing, "packet-compound-ping-dead": gossipPing, "packet-compound-indirect-alive": gossipIndirect,
		"packet-compound-nack-suspect": gossipNack, "packet-compound-ack-alive": gossipAck,
	} {
		require.Equal(t, first, bare(all[name])[0], name)
	}
	kept := "packet-compound-ping-suspect"
	require.Equal(t, all[kept], bare(all[kept]))
	suspicion := fields([]byte{gossipSuspect}, accusal, "", nil)
	asks := fields([]byte{gossipPing}, ping, "", nil)
	require.Equal(t, compound(asks, suspicion), bare(compound(asks, suspicion, suspicion)))
	for name, sent := range all {
		if strings.HasPrefix(name, "packet-summed-") && name != "packet-summed-compound-ping-suspect" {
			require.Equal(t, sent[5:], bare(sent), name)
		}
		for n := range sent {
			bare(sent[:n]) // however it is cut
		}
	}
}

func TestHostileGossipIsDroppedWithoutAllocating(t *testing.T) {
	spent := func(name string, open func() error) {
		t.Helper()
		var err error
		bytes := allocated(func() { err = open() })
		var drop *DropError
		require.ErrorAs(t, err, &drop, name)
		require.Less(t, bytes, uint64(16<<10), name)
	}
	for which, ring := range rings(t) {
		buf := make([]byte, 0, MaxDatagram)
		for name, body := range hostileGossip() {
			if datagram := sealRaw(ring, body); len(datagram) <= MaxDatagram {
				spent(name+" "+which, func() error {
					got, err := ring.OpenGossip(buf, datagram)
					require.Empty(t, got)
					return err
				})
			}
			for _, way := range []Way{Request, Answer} {
				if len(body) > 0 && (body[0] == gossipPing || body[0] == gossipAck) && walkable(way, body) {
					continue
				}
				sealed := ring.SealStream(way, body)
				spent(name+" on a stream "+which, func() error {
					_, _, err := ring.OpenStream(way, sealed[:StreamHead], sealed[StreamHead:])
					return err
				})
			}
			for _, raw := range [][]byte{body, append(append([]byte{labelByte, 7}, "default"...), body...)} {
				if len(raw) <= MaxDatagram {
					spent(name+" as a former version sent it "+which, func() error { _, err := ring.OpenGossip(buf, raw); return err })
				}
			}
		}
	}
}

// walkable requires that a message which no packet may be is valid on a stream.
func walkable(way Way, b []byte) bool {
	_, err := walkStream(way, b)
	return err == nil
}

func TestMembersOfALargeFlockFit(t *testing.T) {
	const agents = 5000
	state := pushPullOf(agents, agents)
	for which, ring := range rings(t) {
		sealed := ring.SealStream(Answer, state)
		require.Less(t, len(sealed), MaxGossipStream)
		size, err := ring.StreamSize(Answer, sealed[:StreamHead])
		require.NoError(t, err)
		require.Len(t, sealed, StreamHead+size)
		spent := allocated(func() {
			got, members, err := ring.OpenStream(Answer, sealed[:StreamHead], sealed[StreamHead:])
			require.NoError(t, err, which)
			require.Equal(t, agents, members)
			require.True(t, bytes.Equal(state, got))
		})
		require.Less(t, spent, uint64(64<<10))
	}
	for _, announced := range []int{agents + 1, maxMembers + 1, 1 << 20, 1<<31 - 1} {
		_, err := walkStream(Answer, pushPullOf(agents, announced))
		require.NotNil(t, err)
	}
	_, err := walkStream(Answer, pushPullOf(maxMembers+1, maxMembers+1))
	requireDrop(t, err, DropRange)
}

// pushPullOf returns a state of members with full metadata that announces some number.
func pushPullOf(n, announced int) []byte {
	b := fields([]byte{gossipPushPull}, pushPull, "Nodes", binary.BigEndian.AppendUint32([]byte{0xD2}, uint32(announced)))
	meta := append([]byte{0xDA, 2, 0}, make([]byte, maxMeta)...)
	return append(b, bytes.Repeat(fields(nil, member, "Meta", meta), n)...)
}

func TestOneStreamIsBounded(t *testing.T) {
	ring := keyring(t, "default", 1)
	head := ring.SealStream(Request, nil)[:StreamHead]
	for n, ok := range map[uint32]bool{0: true, MaxGossipStream: true, MaxGossipStream + 1: false, 1<<32 - 1: false} {
		binary.BigEndian.PutUint32(head[headSize:], n)
		size, err := ring.StreamSize(Request, head)
		if ok {
			require.NoError(t, err)
			require.EqualValues(t, n, size)
		} else {
			requireDrop(t, err, DropTooLarge)
		}
	}
}

func TestGossipOpensOnlyAsWhatItWasSealedAs(t *testing.T) {
	sent := traffic(t)["request-ping"]
	for which, ring := range rings(t) {
		for name, other := range map[string]*Keyring{"another label": keyring(t, "x", 1), "another key": keyring(t, "default", 2), "no key": keyring(t, "default")} {
			if other == ring || which == "without a key" && name == "no key" {
				continue
			}
			_, err := other.OpenGossip(nil, ring.SealGossip(nil, sent))
			require.Error(t, err, "%s %s", which, name)
			_, _, err = openStream(other, Request, ring.SealStream(Request, sent))
			require.Error(t, err, "%s %s", which, name)
		}
		_, _, err := openStream(ring, Answer, ring.SealStream(Request, sent))
		requireDrop(t, err, DropFirstByte)
		turned := ring.SealStream(Request, sent)
		turned[0] = answerByte
		_, _, err = openStream(ring, Answer, turned)
		require.Error(t, err, "a request sent back")
		datagram := ring.SealGossip(nil, sent)
		datagram[0], datagram[1] = FirstByte, Version
		_, err = ring.Open(nil, datagram)
		require.Error(t, err)
		for bit := range len(turned) * 8 {
			flipped := ring.SealStream(Request, sent)
			flipped[bit/8] ^= 1 << (bit % 8)
			_, _, err := openStream(ring, Request, flipped)
			require.Error(t, err, "bit %d", bit)
		}
	}
	before, during := keyring(t, "default", 1), keyring(t, "default", 2, 1)
	_, err := during.OpenGossip(nil, before.SealGossip(nil, sent))
	require.NoError(t, err, "rotation")
	_, err = before.OpenGossip(nil, during.SealGossip(nil, sent))
	requireDrop(t, err, DropUnknownKey)
}

func TestFormerGossipIsTold(t *testing.T) {
	former := append(append([]byte{labelByte, 7}, "default"...), make([]byte, 60)...)
	for _, ring := range rings(t) {
		_, err := ring.OpenGossip(nil, former)
		require.Equal(t, "default", requireDrop(t, err, DropOldGossip).Detail)
		require.Equal(t, "gossips as a former version of ddgoose does", err.Error())
	}
}

func TestGossipTakesOneBuffer(t *testing.T) {
	if raceDetector {
		t.Skip("it allocates")
	}
	sent := traffic(t)["packet-ping"]
	for which, ring := range rings(t) {
		datagram, buf, out := ring.SealGossip(nil, sent), make([]byte, 0, MaxDatagram), make([]byte, 0, MaxDatagram)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if _, err := ring.OpenGossip(buf, datagram); err != nil {
				t.Fail()
			}
			ring.SealGossip(out, sent)
		}), which)
	}
}

// No answer to a stranger is larger than its question. With a key a stranger is
// answered nothing by datagram; what is measured is then a replay of a member's.
func TestNoAnswerOfGossipIsLargerThanItsQuestion(t *testing.T) {
	small := func(kind byte) []byte { return fields([]byte{kind}, forms[kind], "", nil) } // the shortest that passes
	large := func(kind byte) []byte {                                                     // the longest of memberlist
		form, b := forms[kind], []byte{kind, 0x80 | byte(len(forms[kind]))}
		for _, f := range form {
			v := fields(nil, []field{f}, "", nil)[1:]
			switch f.of {
			case aNumber:
				v = append(v[:len(v)-1], 0xCE, 0xFF, 0xFF, 0xFF, 0xFF)
			case anAddress:
				v = append(v[:len(v)-5], append([]byte{0xB0}, make([]byte, 16)...)...)
			}
			b = append(b, v...)
		}
		return b
	}
	news := func(b []byte) []byte {
		alive := large(gossipAlive)
		return compound(b, large(gossipSuspect), alive, alive)
	}
	shortest := bytes.ReplaceAll(small(gossipPing), []byte{0xCD, 14, 0xF1}, []byte{1})
	passOn := bytes.ReplaceAll(small(gossipIndirect), []byte{0xCD, 14, 0xF1}, []byte{1})
	for which, ring := range rings(t) {
		size := func(packets ...[]byte) (n int) {
			for _, p := range packets {
				n += len(ring.SealGossip(nil, p))
			}
			return n
		}
		for name, c := range map[string]struct {
			question []byte
			answers  [][]byte
		}{
			"ping":                      {shortest, [][]byte{news(large(gossipAck))}},
			"ping to be passed on":      {passOn, [][]byte{news(large(gossipPing)), news(large(gossipNack))}},
			"the same, and it answers":  {passOn, [][]byte{news(large(gossipPing)), news(large(gossipAck))}},
			"ack, nack, and all others": {small(gossipNack), nil},
		} {
			in := sealRaw(ring, bare(c.question))
			if c.question[0] == gossipIndirect {
				in = ring.SealGossip(nil, c.question)
			}
			_, err := ring.OpenGossip(nil, in)
			require.NoError(t, err, name)
			t.Logf("%s, %s: %d bytes are answered by %d bytes in %d datagrams: %.2f", name, which, len(in), size(c.answers...), len(c.answers),
				float64(size(c.answers...))/float64(len(in)))
			require.LessOrEqual(t, size(c.answers...), len(in), "%s %s", name, which)
		}
	}
}

// What another encoder writes for the same fields passes as well.
func TestFieldsMayComeInAnyOrderAndForm(t *testing.T) {
	e := map[string]any{"Node": strings.Repeat("0a", 16), "From": strings.Repeat("1b", 16), "Incarnation": int64(70000)}
	for range 20 {
		body, err := msgpack.Marshal(e)
		require.NoError(t, err)
		n, failed := walkPacket(append([]byte{gossipDead}, body...))
		require.Nil(t, failed)
		require.Equal(t, 1+len(body), n)
	}
}

// mutate replaces a part of a message by a bomb, and mends the lengths around it.
func mutate(b []byte, at, cut uint16, bomb []byte) []byte {
	if len(b) == 0 {
		return bomb
	}
	from := int(at) % len(b)
	to := min(from+int(cut)%64, len(b))
	return slices.Concat(b[:from], bomb, b[to:])
}

// hostileSeeds are few of hostileGossip: a run of the fuzzer plays all seeds before it makes inputs of its own.
func hostileSeeds() (seeds [][]byte) {
	all := hostileGossip()
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if body := all[name]; len(body) < 400 && (i%40 == 0 || !strings.HasPrefix(name, "type ")) {
			seeds = append(seeds, body)
		}
	}
	return seeds
}

// FuzzGossipPacket: whatever a key holder, or anybody without a key, sends as a
// datagram is dropped, or is a packet that agents send.
func FuzzGossipPacket(f *testing.F) {
	plain, sealed := keyring(f, "default"), keyring(f, "default", 1)
	kinds := slices.Sorted(maps.Keys(bombs()))
	for _, sent := range traffic(f) {
		f.Add(bare(sent), uint16(0), uint16(0), uint8(255))
		f.Add(bare(sent), uint16(len(sent)/2), uint16(3), uint8(len(sent)))
	}
	for _, body := range hostileSeeds() {
		f.Add(body, uint16(0), uint16(0), uint8(255))
	}
	memory := memtest.New()
	f.Fuzz(func(t *testing.T, body []byte, at, cut uint16, bomb uint8) {
		memory.Input(t, func() {
			if int(bomb) < len(kinds) {
				body = mutate(body, at, cut, bombs()[kinds[bomb]])
			}
			for _, ring := range []*Keyring{plain, sealed} {
				got, err := ring.OpenGossip(nil, body)
				require.Error(t, err, "forged: %x", got)
				got, err = ring.OpenGossip(nil, sealRaw(ring, body))
				var drop *DropError
				if err != nil {
					require.ErrorAs(t, err, &drop)
					require.Contains(t, Reasons(), drop.Reason)
					continue
				}
				require.True(t, bytes.HasPrefix(body, got))
				again, err := ring.OpenGossip(nil, ring.SealGossip(nil, got))
				require.NoError(t, err, "what passes can be sent")
				require.Equal(t, bare(got), again)
			}
		})
	})
}

// FuzzGossipStream: the same of messages on streams.
func FuzzGossipStream(f *testing.F) {
	plain, sealed := keyring(f, "default"), keyring(f, "default", 1)
	kinds := slices.Sorted(maps.Keys(bombs()))
	for name, sent := range traffic(f) {
		f.Add(sent, bool(wayOf(name)), uint16(0), uint16(0), uint8(255))
		f.Add(sent, bool(wayOf(name)), uint16(len(sent)/2), uint16(3), uint8(len(sent)))
	}
	for _, body := range hostileSeeds() {
		f.Add(body, false, uint16(0), uint16(0), uint8(255))
	}
	f.Add(pushPullOf(2, 2), true, uint16(0), uint16(0), uint8(255))
	memory := memtest.New()
	f.Fuzz(func(t *testing.T, body []byte, answer bool, at, cut uint16, bomb uint8) {
		memory.Input(t, func() {
			if int(bomb) < len(kinds) {
				body = mutate(body, at, cut, bombs()[kinds[bomb]])
			}
			for _, ring := range []*Keyring{plain, sealed} {
				_, _, err := openStream(ring, Way(answer), body)
				if err == nil {
					require.NotSame(t, sealed, ring, "forged")
				}
				got, members, err := openStream(ring, Way(answer), ring.SealStream(Way(answer), body))
				if err != nil {
					var drop *DropError
					require.ErrorAs(t, err, &drop)
					require.Contains(t, Reasons(), drop.Reason)
					continue
				}
				require.Equal(t, body, got)
				require.LessOrEqual(t, members*len(fields(nil, member, "", nil))/2, len(body))
			}
		})
	})
}
