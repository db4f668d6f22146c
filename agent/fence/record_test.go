package fence

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/store/memfs"
)

// powered is a disk that loses power.
type powered struct{ *memfs.FS }

func (p powered) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := p.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not a typed nil
	}
	return f, nil
}

var _ fileSystem = powered{}

func recordOn(t *testing.T, disk *memfs.FS) record {
	t.Helper()
	require.NoError(t, disk.MkdirAll("/d", 0o700))
	return record{fs: powered{disk}, path: "/d/state"}
}

// TestPowerCutForgetsNothingThatPassed cuts the power in each operation of
// several checks. What passed before is refused to lower tokens afterwards,
// and the record is never corrupt.
func TestPowerCutForgetsNothingThatPassed(t *testing.T) {
	tokens := []uint64{3, 3, 5, 8}
	for seed := range uint64(20) {
		for cut := 1; ; cut++ {
			disk := memfs.New(seed)
			r := recordOn(t, disk)
			disk.CutAt(disk.Ops() + cut)
			var passed, tried uint64
			for _, token := range tokens {
				tried = token
				if r.check("", token, false) != nil {
					break
				}
				passed = token
			}
			whole := passed == tokens[len(tokens)-1]
			disk.CutAt(0)
			disk.PowerCut()
			disk.PowerOn()
			s, err := r.load()
			require.NoError(t, err, "seed %d, cut in operation %d", seed, cut)
			require.Contains(t, []uint64{passed, tried}, s.token, "seed %d, cut in operation %d", seed, cut)
			if whole {
				require.Greater(t, cut, 15, "operations were cut at all")
				break
			}
		}
	}
}

// TestEqualTokenIsDurableToo: whoever wrote it was killed, or failed, before the
// name was durable.
func TestEqualTokenIsDurableToo(t *testing.T) {
	for seed := range uint64(20) {
		disk := memfs.New(seed)
		r := recordOn(t, disk)
		require.NoError(t, r.check("", 3, false))
		broken := errors.New("broken")
		disk.FailAt(disk.Ops()+7, broken) // open and read, then open, write, sync and rename go well
		err := r.check("", 5, false)
		require.ErrorIs(t, err, broken)
		require.NoError(t, r.check("", 5, false))
		disk.PowerCut()
		disk.PowerOn()
		s, err := r.load()
		require.NoError(t, err)
		require.EqualValues(t, 5, s.token, "seed %d", seed)
	}
}

func TestRecordReadsBack(t *testing.T) {
	for _, s := range []seen{{token: 1}, {token: math.MaxUint64}, {flockID: strings.Repeat("c0", 16), token: 7}, {flockID: "a b", token: 7}} {
		got, err := decode(s.encode())
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
}

func TestEveryDamageIsSeen(t *testing.T) {
	text := seen{flockID: strings.Repeat("c0", 16), token: 1099511627783}.encode()
	for i := range text {
		_, err := decode(text[:i])
		require.Error(t, err, "cut to %d bytes", i)
		for bit := range 8 {
			damaged := append([]byte(nil), text...)
			damaged[i] ^= 1 << bit
			_, err := decode(damaged)
			require.Error(t, err, "bit %d of byte %d", bit, i)
		}
	}
	_, err := decode(append(text, '\n'))
	require.Error(t, err)
}

func FuzzDecode(f *testing.F) {
	f.Add(seen{flockID: "c0", token: 7}.encode())
	f.Add([]byte("ddgoose fence 1\nflock \ntoken 7\ncrc32c 00000000\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := decode(text); err == nil {
			require.Equal(t, string(text), string(s.encode()))
		}
	})
}

func TestCorruptFileIsRefusedWithARemedy(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "another program's": "root:x:0:0\n", "torn": "ddgoose fence 1\nflock \ntoken 12"} {
		path := t.TempDir() + "/state"
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		err := Check(path, 7)
		require.ErrorIs(t, err, ErrCorrupt, name)
		require.ErrorContains(t, err, path)
		require.ErrorContains(t, err, "remove the file")
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(left), "left as it is")
	}
}
