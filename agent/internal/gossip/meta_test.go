package gossip

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

func TestMetadataTravels(t *testing.T) {
	full := member.Meta{
		Name: "a.b-c_1", Start: 7, Life: 9, Priority: 3, Expect: 5, Observer: true, Accepted: true, Left: true, Settled: true, Relays: true,
		Tags:         map[string]string{"rack": "7", "empty": ""},
		PreemptAfter: 90 * time.Second, Freeze: member.FreezeNotice{Stamp: 1785000000000000000, Left: time.Hour},
		Config:  member.ShownConfig{Known: true, Generation: 3, ID: election.ConfigID{Term: election.MaxTerm, Version: 12}},
		Version: "v1.2.3-45-gabcdef", RelaysAll: true,
	}
	full.FlockID[3] = 1
	b, err := encode(&full)
	require.NoError(t, err)
	got, err := decodeMeta(b)
	require.NoError(t, err)
	require.Equal(t, full, got)
}

// The words of a version take no room from tags, and those of a later one are
// no tags.
func TestMetadataHasRoomForOurOwnWords(t *testing.T) {
	m := member.Meta{Name: "a", Tags: map[string]string{"a": strings.Repeat("x", 200), "b": ""}}
	most := 0
	for ; ; most++ {
		m.Tags["b"] = strings.Repeat("x", most)
		if _, err := encode(&m); err != nil {
			require.ErrorContains(t, err, "tags are 1 bytes too many: name and tags together may take 426 bytes")
			break
		}
	}
	m.Tags["b"] = strings.Repeat("x", most-1)
	m.PreemptAfter, m.Freeze = member.MaxPreemptAfter, member.FreezeNotice{Stamp: member.LastStamp, Left: member.MaxFreeze}
	b, err := encode(&m)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), metaRoom)
	got, err := decodeMeta(b)
	require.NoError(t, err)
	require.Equal(t, m, got)
	m.RelaysAll, m.Elections = true, 1<<63
	b, err = encode(&m)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), metaRoom)
	got, err = decodeMeta(b)
	require.NoError(t, err)
	require.False(t, got.RelaysAll, "tags have taken its room")
	require.EqualValues(t, uint64(1<<63), got.Elections)
	m.RelaysAll, m.Elections = false, 0
	m.Config = member.ShownConfig{Known: true, ID: election.ConfigID{Term: election.MaxTerm, Version: election.MaxTerm}}
	b, err = encode(&m)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), metaRoom)
	got, err = decodeMeta(b)
	require.NoError(t, err)
	require.False(t, got.Config.Known, "tags have taken its room")
	m.Config, m.Version = member.ShownConfig{}, strings.Repeat("9", maxVersion+1)
	b, err = encode(&m)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), metaRoom)

	plain := member.Meta{Name: "a", Tags: map[string]string{"k": "v"}}
	for _, words := range [][2]string{{"!x", "of a later version"}, {"!p", "soon"}, {"!p", "-1"}, {"!p", "zzzzzz"}, {"!f", ""}, {"!f", ".10"}, {"!f", "zzzzzzzzzzzzzz.10"}, {"!c", "1.2"}, {"!c", "1.2.-3"}, {"!v", "a\u202eb"}} {
		b, err := encode(&plain)
		require.NoError(t, err)
		got, err := decodeMeta(appendText(appendText(b, words[0]), words[1]))
		require.NoError(t, err)
		require.Equal(t, plain, got, "%q", words)
	}
}

func TestMetadataThatCannotBeShownIsRefused(t *testing.T) {
	for _, m := range []member.Meta{
		{Name: "."}, {Name: ".."}, {Name: "a\nb"}, {Name: "a\u202eb"}, {Name: "a", Tags: map[string]string{"k\x1b": "v"}},
		{Name: "a", Tags: map[string]string{"k": "\x1b[2J"}},
		{Name: "a", Tags: map[string]string{"k": "a\u202eb"}}, // right to left
		{Name: "a", Tags: map[string]string{"k": "a\u2066b"}},
		{Name: "a", Tags: map[string]string{"k": "a\u200fb"}},
		{Name: "a", Tags: map[string]string{"k": "a\u009bb"}}, // C1
		{Name: "a", Tags: map[string]string{"k": "\xff"}},
	} {
		b, err := encode(&m)
		require.NoError(t, err)
		_, err = decodeMeta(b)
		require.Error(t, err, "%+q", m)
	}
	m := member.Meta{Name: "-a.b", Tags: map[string]string{"k": "Zürich, Gänsehäufel 7"}}
	b, err := encode(&m)
	require.NoError(t, err)
	got, err := decodeMeta(b)
	require.NoError(t, err)
	require.Equal(t, m, got)
}

func FuzzMetadata(f *testing.F) {
	b, err := encode(&member.Meta{Name: "a", Tags: map[string]string{"k": "v"}})
	require.NoError(f, err)
	f.Add(b)
	f.Add(appendText(appendText(b, "!f"), "dk8x2m.3c"))
	f.Add(appendText(appendText(b, "!p"), "1o"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil || len(b) > 512 {
			return
		}
		require.True(t, ValidName(m.Name))
		again, err := encode(&m)
		if err != nil {
			return // tags that were given twice or too long
		}
		back, err := decodeMeta(again)
		require.NoError(t, err)
		require.Equal(t, m, back)
	})
}

func TestDamagedMetadataIsRefused(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.1:3825")
	meta, err := encode(&member.Meta{Name: "a", Start: 3})
	require.NoError(t, err)
	sealed := sumMeta(meta, "id", at)
	got, ok := checkMeta(sealed, "id", netip.MustParseAddrPort("[::ffff:10.0.0.1]:3825"))
	require.True(t, ok)
	require.Equal(t, meta, got)
	for bit := range 8 * len(sealed) {
		damaged := slices.Clone(sealed)
		damaged[bit/8] ^= 1 << (bit % 8)
		_, ok := checkMeta(damaged, "id", at)
		require.False(t, ok, "bit %d", bit)
	}
	for _, wrong := range []struct {
		id string
		at string
	}{{"ie", "10.0.0.1:3825"}, {"id", "10.0.0.2:3825"}, {"id", "10.0.0.1:3824"}} {
		_, ok := checkMeta(sealed, wrong.id, netip.MustParseAddrPort(wrong.at))
		require.False(t, ok)
	}
	_, ok = checkMeta([]byte{1, 2}, "id", at)
	require.False(t, ok)
}
