package agent

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/wire"
)

// withKeyFile starts an agent from a key file of its own in dir, which is made
// when there is none.
func withKeyFile(t *testing.T, dir string, keys ...[]byte) func(*Config) {
	return func(c *Config) {
		c.Keys, c.KeyFile = nil, filepath.Join(dir, c.Name+".key")
		if _, err := os.Stat(c.KeyFile); err == nil {
			return
		}
		text := "# of " + c.Name + "\n"
		for _, k := range keys {
			text += base64.StdEncoding.EncodeToString(k) + "\n"
		}
		require.NoError(t, os.WriteFile(c.KeyFile, []byte(text), 0o600))
	}
}

// changeKeys runs a command about keys, and checks the promises meanwhile.
func (f *testFlock) changeKeys(do func(ctx context.Context) (api.Keys, error)) (k api.Keys, err error) {
	f.t.Helper()
	err = f.await(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		k, err = do(ctx)
		return err
	})
	return k, err
}

func (f *testFlock) install(at string, key []byte) (api.Keys, error) {
	return f.changeKeys(func(ctx context.Context) (api.Keys, error) { return f.agents[at].InstallKey(ctx, key) })
}

func (f *testFlock) use(at string, id string) (api.Keys, error) {
	return f.changeKeys(func(ctx context.Context) (api.Keys, error) { return f.agents[at].UseKey(ctx, id) })
}

func (f *testFlock) remove(at string, id string) (api.Keys, error) {
	return f.changeKeys(func(ctx context.Context) (api.Keys, error) { return f.agents[at].RemoveKey(ctx, id) })
}

func (f *testFlock) listKeys(at string) api.Keys {
	k, err := f.changeKeys(func(ctx context.Context) (api.Keys, error) { return f.agents[at].Keys(ctx) })
	require.NoError(f.t, err)
	return k
}

func TestKeysAreRotatedUnderTraffic(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		dir := t.TempDir()
		old, next := testKey(1), testKey(2)
		oldID, nextID := wire.KeyID(old), wire.KeyID(next)
		for i := range 5 {
			f.start(nth(i), joining("10.0.0.1"), expecting(5), withKeyFile(t, dir, old))
		}
		f.settle(5)
		f.allAlive()
		goose, token := f.goose(), f.agents["a"].Status().Token

		k := f.listKeys("b")
		require.Equal(t, []api.Key{{ID: oldID, Sealing: []string{"a", "b", "c", "d", "e"}, Holding: []string{"a", "b", "c", "d", "e"}}}, k.Keys)
		require.Empty(t, k.Warnings)
		require.Empty(t, k.Absent)

		_, err := f.use("b", nextID)
		require.ErrorIs(t, err, api.ErrConflict)
		require.ErrorContains(t, err, "no live agent has it")
		_, err = f.remove("b", oldID)
		require.ErrorContains(t, err, "still used by a b c d e")

		k, err = f.install("b", next)
		require.NoError(t, err)
		require.Len(t, k.Keys[1].Holding, 5)
		_, err = f.install("c", next)
		require.NoError(t, err, "twice is once")
		k, err = f.use("d", nextID)
		require.NoError(t, err)
		require.Equal(t, api.Key{ID: nextID, Sealing: []string{"a", "b", "c", "d", "e"}, Holding: []string{"a", "b", "c", "d", "e"}}, k.Keys[0])
		k, err = f.remove("e", oldID)
		require.NoError(t, err)
		require.Len(t, k.Keys, 1)
		f.sleep(5 * time.Second)

		require.Equal(t, goose, f.goose())
		for _, name := range f.live() {
			s := f.agents[name].Status()
			require.Equal(t, token, s.Token, "%s: the goose never changed", name)
			require.Equal(t, 5, s.Alive)
			require.Zero(t, s.Counters["dropped_"+wire.DropUnknownKey], name)
			require.Zero(t, s.Counters["dropped_"+wire.DropSeal], name)
			text, err := os.ReadFile(filepath.Join(dir, name+".key"))
			require.NoError(t, err)
			require.Equal(t, base64.StdEncoding.EncodeToString(next)+"\n", strings.TrimPrefix(string(text), "# of "+name+"\n"))
			info, err := os.Stat(filepath.Join(dir, name+".key"))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		}
		duck := f.ducks()[0]
		f.stop(duck)
		f.start(duck, joining("10.0.0.1", "10.0.0.2"), withKeyFile(t, dir))
		f.allAlive()
		f.settle(5)
	})
}

func TestNoAgentIsLockedOutByAKey(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		old, next := testKey(1), testKey(2)
		oldID, nextID := wire.KeyID(old), wire.KeyID(next)
		for i := range 5 {
			f.start(nth(i), joining("10.0.0.1"), expecting(5), func(c *Config) {
				c.Keys = [][]byte{old}
				if c.Name != "e" {
					c.Keys = append(c.Keys, next)
				}
			})
		}
		f.settle(5)
		f.allAlive()
		k := f.listKeys("a")
		require.Equal(t, []string{"e"}, k.Keys[1].Missing)
		require.Equal(t, []string{"a b c d e: started without --key-file: a restart forgets this change"}, k.Warnings)
		_, err := f.use("a", nextID)
		require.EqualError(t, err, "use key "+nextID+": nothing was changed: e would be locked out, because the key is missing there (ddgoose keys install)")
		for _, name := range f.live() {
			require.Equal(t, oldID, f.agents[name].keys.Load().KeyIDs()[0])
		}

		_, err = f.install("a", next)
		require.NoError(t, err)
		free := f.busy("d")
		for what, do := range map[string]func() (api.Keys, error){
			"use key " + nextID:                     func() (api.Keys, error) { return f.use("a", nextID) },
			"remove key " + nextID:                  func() (api.Keys, error) { return f.remove("a", nextID) },
			"install key " + wire.KeyID(testKey(3)): func() (api.Keys, error) { return f.install("a", testKey(3)) },
		} {
			_, err = do()
			require.ErrorIs(t, err, api.ErrConflict)
			require.ErrorContains(t, err, what+": nothing was changed, because a live agent without the change would be locked out; no answer from d (")
		}
		free()

		// A stopped agent is named, with what it will see.
		f.stop("e")
		f.allAlive()
		k, err = f.use("a", nextID)
		require.NoError(t, err)
		require.Len(t, k.Absent, 1)
		require.Equal(t, "e", k.Absent[0].Name)
		require.Contains(t, k.Absent[0].Sees, `"seals with key `+nextID+`, we hold ..."`)
		f.start("e", joining("10.0.0.1", "10.0.0.2"), func(c *Config) { c.Keys = [][]byte{old} })
		f.warns(time.Minute, "e", "seals with key "+nextID+", we hold "+oldID)
	})
}

func TestKeysGoThroughAnotherWhereAPathIsCut(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.withKeys(1)
		f.found(5)
		f.allAlive()
		f.cut([]string{"a"}, []string{"b"})
		next := testKey(9)
		_, err := f.install("a", next)
		require.NoError(t, err)
		k, err := f.use("b", wire.KeyID(next))
		require.NoError(t, err)
		require.Len(t, k.Keys[0].Sealing, 5)
	})
}

func TestAFlockWithoutAKeySaysHowToBegin(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		_, err := f.install("a", testKey(1))
		require.ErrorIs(t, err, api.ErrConflict)
		require.ErrorContains(t, err, "this flock runs without a key")
	})
}

func TestAChangeThatCannotBeKeptIsNotMade(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		dir := t.TempDir()
		for i := range 3 {
			f.start(nth(i), joining("10.0.0.1"), expecting(3), withKeyFile(t, dir, testKey(1)))
		}
		f.settle(3)
		f.allAlive()
		file := filepath.Join(dir, "b.key")
		require.NoError(t, os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(testKey(5))+"\n"), 0o600))
		_, err := f.install("a", testKey(2))
		require.ErrorContains(t, err, "done at a c, failed at b (key file "+file+": it has none of this agent's keys")
		require.Len(t, f.agents["b"].keys.Load().KeyIDs(), 1)
		_, err = f.use("a", wire.KeyID(testKey(2)))
		require.ErrorContains(t, err, "b would be locked out")
	})
}

func TestAReloadOfAnotherKeyFileMakesThatTheOneWhichIsKept(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		dir := t.TempDir()
		one, two, three := testKey(1), testKey(2), testKey(3)
		for i := range 3 {
			f.start(nth(i), joining("10.0.0.1"), expecting(3), withKeyFile(t, dir, one))
		}
		f.settle(3)
		f.allAlive()
		read := func(file string) string {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			return string(text)
		}
		line := func(k []byte) string { return base64.StdEncoding.EncodeToString(k) + "\n" }
		old, next := filepath.Join(dir, "b.key"), filepath.Join(dir, "elsewhere.key")
		require.NoError(t, os.WriteFile(next, []byte("# elsewhere\n"+line(one)), 0o600))
		oldText := read(old)
		moved := func(file string) func(*Config) { return func(c *Config) { c.Keys, c.KeyFile = nil, file } }
		f.reload("b", moved(next)) // the same key, from elsewhere

		_, err := f.install("a", two)
		require.NoError(t, err)
		_, err = f.use("c", wire.KeyID(two))
		require.NoError(t, err)
		require.Equal(t, line(two)+"# elsewhere\n"+line(one), read(next))
		require.Equal(t, oldText, read(old), "what is no longer named is left alone")

		// A file of other keys counts for both: what opens, and what is kept.
		last := filepath.Join(dir, "last.key")
		require.NoError(t, os.WriteFile(last, []byte(line(two)+line(three)), 0o600))
		f.reload("b", moved(last))
		require.Equal(t, []string{wire.KeyID(two), wire.KeyID(three)}, f.agents["b"].keys.Load().KeyIDs())
		_, err = f.install("a", three)
		require.NoError(t, err)
		_, err = f.use("a", wire.KeyID(three))
		require.NoError(t, err)
		require.Equal(t, line(three)+line(two), read(last))

		// A file that cannot be read changes nothing.
		cfg := f.config(f.agents["b"])
		moved(filepath.Join(dir, "none.key"))(&cfg)
		_, err = f.agents["b"].Reload(context.Background(), cfg)
		require.ErrorContains(t, err, "none.key: no such file or directory")
		_, err = f.remove("c", wire.KeyID(two))
		require.NoError(t, err)
		require.Equal(t, line(three), read(last))

		// Keys without a file are not kept, and the answer says so.
		f.reload("b", func(c *Config) { c.Keys, c.KeyFile = [][]byte{three}, "" })
		k := f.listKeys("a")
		require.Equal(t, []string{"b: started without --key-file: a restart forgets this change"}, k.Warnings)
		require.Equal(t, []string{"a", "b", "c"}, k.Keys[0].Sealing)
	})
}

// A reload that read the file before a change and set the ring after it would
// lose the change.
func TestAReloadWaitsForAChangeOfKeysAndReadsWhatItWrote(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		dir := t.TempDir()
		f.start("a", withKeyFile(t, dir, testKey(1)))
		f.settle(1)
		a := f.agents["a"]
		done, err := a.keyChanger.Turn(context.Background())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		cfg := f.config(a)
		withKeyFile(t, dir)(&cfg)
		_, err = a.Reload(ctx, cfg)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "another key change is running")
		require.ErrorIs(t, a.SetKeys(ctx, [][]byte{testKey(2)}), context.DeadlineExceeded)

		waiting := make(chan error, 1)
		go func() {
			_, err := a.Reload(context.Background(), cfg)
			waiting <- err
		}()
		f.sleep(time.Second)
		require.Empty(t, waiting)
		both := base64.StdEncoding.EncodeToString(testKey(1)) + "\n" + base64.StdEncoding.EncodeToString(testKey(2)) + "\n"
		require.NoError(t, os.WriteFile(cfg.KeyFile, []byte(both), 0o600))
		done()
		require.NoError(t, f.await(func() error { return <-waiting }))
		require.Len(t, a.keys.Load().KeyIDs(), 2)
	})
}
