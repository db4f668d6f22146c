package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"runtime"
	"testing"

	"duckduckgoose/agent/election"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// allocated returns the bytes that do allocated, of all goroutines.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// hostile bodies, most of which make a trusting decoder allocate or recurse.
func hostileBodies() map[string][]byte {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			panic(err)
		}
		return b
	}
	flood := append([]byte{0xDC, 0x04, 0x6F}, make([]byte, 0x46F)...) // an array of 1135 zeros
	return map[string][]byte{
		"nothing":                   {},
		"4 GiB of bytes":            unhex("98c6ffffffff00000000"),
		"4 GiB of string":           unhex("98dbffffffff00000000"),
		"4 GiB of ext":              unhex("98c9ffffffff00000000"),
		"2 GiB, as an int32 is":     unhex("98c67fffffff00000000"),
		"4 Gi array":                unhex("ddffffffff0000000000"),
		"4 Gi map":                  unhex("dfffffffff0000000000"),
		"2 Gi map, doubled is zero": unhex("df800000000000000000"),
		"64 Ki array":               unhex("dcffff00000000000000"),
		"depth by arrays":           bytes.Repeat([]byte{0x91}, 1100),
		"depth by maps":             bytes.Repeat([]byte{0x81}, 1100),
		"depth by big arrays":       bytes.Repeat([]byte{0xDD, 0, 0, 0, 1}, 220),
		"wide and deep":             bytes.Repeat([]byte{0x9F}, 1100),
		"flood of zeros":            flood,
		"never used code":           unhex("98c1"),
		"cut in a length":           unhex("98c4"),
		"cut in a long length":      unhex("98c60000"),
		"a number":                  unhex("07"),
		"a nil":                     unhex("c0"),
		"a map":                     unhex("80"),
		"an empty array":            unhex("90"),
		"beyond a body":             append([]byte{0xDC, 0x04, 0xB0}, make([]byte, 1200)...),
	}
}

func TestHostileBodiesAreDroppedWithoutAllocating(t *testing.T) {
	var f Frame
	for name, body := range hostileBodies() {
		var err error
		spent := allocated(func() { err = DecodeFrame(body, &f) })
		require.Error(t, err, name)
		var drop *DropError
		require.ErrorAs(t, err, &drop, name)
		require.Less(t, spent, uint64(64<<10), name)
	}
}

func TestEveryLengthIsCoveredByBytes(t *testing.T) {
	lengths := map[string][]byte{
		"bin": {0xC6}, "str": {0xDB}, "array": {0xDD}, "map": {0xDF}, "ext": {0xC9},
	}
	for name, code := range lengths {
		for _, n := range []uint32{100, 1 << 10, 1 << 16, 1 << 24, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			b := binary.BigEndian.AppendUint32(bytes.Clone(code), n)
			b = append(b, make([]byte, 8)...)
			err := checkStructure(b)
			require.NotNil(t, err, "%s of %d", name, n)
			require.Equal(t, DropMalformed, err.Reason)
		}
	}
}

func TestStructureTakesAllOfMsgpack(t *testing.T) {
	var nested any = []any{
		nil, true, false, int8(-5), -100, -40000, int64(-1 << 40), 5, uint8(200), uint16(60000), uint32(1 << 31), uint64(1 << 63),
		float32(1.5), 2.5, "s", string(make([]byte, 100)), string(make([]byte, 300)), []byte{1}, make([]byte, 400),
		map[string]any{"a": []any{1, map[string]any{}}}, make([]int, 20),
	}
	b, err := msgpack.Marshal(nested)
	require.NoError(t, err)
	require.Nil(t, checkStructure(b))
	require.Equal(t, DropTrailing, checkStructure(append(b, 0)).Reason)
	for n := range b {
		require.NotNil(t, checkStructure(b[:n]), "cut at %d", n)
	}
	for _, ext := range []string{"d401aa", "d501aabb", "d601aabbccdd", "d7010000000000000000", "d80100000000000000000000000000000000",
		"c70201aabb", "c8000201aabb", "c90000000201aabb", "de000101c0", "df0000000101c0", "d901aa", "da0001aa", "dc000100", "c50001aa"} {
		b, err := hex.DecodeString(ext)
		require.NoError(t, err)
		require.Nil(t, checkStructure(b), ext)
		require.NotNil(t, checkStructure(b[:len(b)-1]), ext)
	}
}

func TestDepthEndsAtFour(t *testing.T) {
	require.Nil(t, checkStructure([]byte{0x91, 0x91, 0x91, 0x91, 0}))
	require.Nil(t, checkStructure([]byte{0x91, 0x91, 0x91, 0x90}))
	require.NotNil(t, checkStructure([]byte{0x91, 0x91, 0x91, 0x91, 0x90}))
	require.NotNil(t, checkStructure([]byte{0x91, 0x91, 0x91, 0x91, 0x80}))
}

func TestTruncatedFrameIsDropped(t *testing.T) {
	body := encode(t, faultless(newGenerator(20)))
	var f Frame
	for n := range body {
		require.Error(t, DecodeFrame(body[:n], &f), "cut at %d", n)
	}
	require.NoError(t, DecodeFrame(body, &f))
}

func TestTrailingBytesAreDropped(t *testing.T) {
	body := encode(t, faultless(newGenerator(21)))
	var f Frame
	requireDrop(t, DecodeFrame(append(body, 0xC0), &f), DropTrailing)
	requireDrop(t, DecodeFrame(append(body, body...), &f), DropTrailing)
}

func TestEntriesAreBounded(t *testing.T) {
	f := newGenerator(22).header()
	for range MaxMessages + 1 {
		f.Messages = append(f.Messages, Message{Message: election.Message{Kind: election.Resign}})
	}
	e := encoders.Get().(*encoder)
	e.buf = nil
	e.frame(f)
	var got Frame
	err := DecodeFrame(e.buf, &got)
	requireDrop(t, err, DropRange)
	require.Contains(t, err.Error(), "number of entries 33: at most 32")
}

// Values of another type than the field's are refused, also where the library
// would make a number of them.
func TestWrongTypesAreMalformed(t *testing.T) {
	values := func() []any {
		return []any{flockID[:], fromID[:], toID[:], uint64(1), uint64(2), uint64(3), []any{}, nil}
	}
	var f Frame
	require.NoError(t, DecodeFrame(pack(t, values()...), &f))
	for at := range values() {
		for _, wrong := range []any{nil, true, int8(-1), int64(-1 << 40), 1.5, "text of 16 bytes", []byte{1}, make([]byte, 17), map[string]any{}, []any{}, uint64(7)} {
			v := values()
			v[at] = wrong
			_, number := wrong.(uint64)
			_, array := wrong.([]any)
			if number && at >= 3 && at <= 5 || array && at == 6 || wrong == nil && at == 7 {
				continue // right after all
			}
			requireDrop(t, DecodeFrame(pack(t, v...), &f), DropMalformed)
		}
	}
}
