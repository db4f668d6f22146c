package fence_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/fence"
	"duckduckgoose/agent/internal/nofollow"
)

// crowdEnv makes this test program one of a crowd that checks tokens at one fence.
const crowdEnv = "DDGOOSE_TEST_CROWD"

func TestMain(m *testing.M) {
	if path := os.Getenv(crowdEnv); path != "" {
		os.Exit(crowd(path))
	}
	os.Exit(m.Run())
}

// fences are both kinds of fence, with and without a flock.
func fences(t *testing.T) map[string]func(flockID string, token uint64) error {
	path := filepath.Join(t.TempDir(), "state")
	var g fence.Guard
	return map[string]func(string, uint64) error{
		"file":  func(id string, token uint64) error { return fence.File{Path: path, FlockID: id}.Check(token) },
		"guard": g.CheckFlock,
	}
}

func TestRule18LowerTokensAreRefusedAndEqualOnesPass(t *testing.T) {
	for name, check := range fences(t) {
		require.NoError(t, check("", 3), name)
		require.NoError(t, check("", 3), name)
		require.NoError(t, check("", 7), name)
		err := check("", 6)
		require.ErrorIs(t, err, fence.ErrStale, name)
		require.ErrorContains(t, err, "token 6 is refused: token 7 has been seen", name)
		var stale *fence.StaleError
		require.ErrorAs(t, err, &stale, name)
		require.Equal(t, fence.StaleError{Token: 6, Highest: 7}, *stale, name)
		require.NoError(t, check("", 7), name)
		require.NoError(t, check("", 1<<40), name+": a later generation")
		require.ErrorContains(t, check("", 0), "0 is not a token", name)
	}
}

func TestRule18TokensOfAnotherFlockAreRefused(t *testing.T) {
	for name, check := range fences(t) {
		require.NoError(t, check("", 3), name)
		require.NoError(t, check("c0", 5), name+": the first flock named is kept")
		err := check("d1", 9)
		require.ErrorIs(t, err, fence.ErrFlock, name)
		require.NotErrorIs(t, err, fence.ErrStale, name)
		var flock *fence.FlockError
		require.ErrorAs(t, err, &flock, name)
		require.Equal(t, fence.FlockError{FlockID: "d1", Seen: "c0"}, *flock, name)
		require.ErrorIs(t, check("c0", 4), fence.ErrStale, name)
		require.NoError(t, check("", 6), name+": not compared when not given")
		require.ErrorIs(t, check("d1", 9), fence.ErrFlock, name+": and kept all the same")
	}
}

func TestTokenThatIsNoGoosesIsRefused(t *testing.T) {
	const generation = 1 << 40
	for name, check := range fences(t) {
		require.ErrorContains(t, check("", 1<<53), "the highest possible one is 9007199254740991", name)
		require.NoError(t, check("", 5), name)
		for _, token := range []uint64{5 + 1<<20 + 1, generation + 1<<20 + 1, 65*generation + 1, fence.MaxToken} {
			require.ErrorIs(t, check("", token), fence.ErrImplausible, "%s: %d", name, token)
		}
		for _, token := range []uint64{5 + 1<<20, generation + 1, generation + 1<<20, 65 * generation} {
			require.NoError(t, check("", token), "%s: %d", name, token)
		}
	}
	f := fence.File{Path: filepath.Join(t.TempDir(), "state")}
	require.NoError(t, f.Check(3*generation+12345678), "the first one seen may be any")
	f.Force = true
	require.NoError(t, f.Check(fence.MaxToken))
	require.ErrorContains(t, f.Check(fence.MaxToken+1), "not a token")
}

func TestFlockIDThatIsNoneIsRefused(t *testing.T) {
	f := fence.File{Path: filepath.Join(t.TempDir(), "state"), FlockID: "a\nb"}
	require.ErrorContains(t, f.Check(1), "want the 32 hex digits")
	f.FlockID = strings.Repeat("c", 1000)
	require.ErrorContains(t, f.Check(1), "want the 32 hex digits")
	require.NoError(t, fence.Check(f.Path, 1))
}

func TestRule18HighestIsKept(t *testing.T) {
	var g fence.Guard
	require.Zero(t, g.Highest())
	require.NoError(t, g.Check(7))
	require.Error(t, g.Check(3))
	require.EqualValues(t, 7, g.Highest())
}

func TestFolderThatIsMissingIsAnError(t *testing.T) {
	err := fence.Check(filepath.Join(t.TempDir(), "missing", "state"), 1)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestGuardInAThousandHands(t *testing.T) {
	var g fence.Guard
	var highest atomic.Uint64
	var wg sync.WaitGroup
	for i := range uint64(1000) {
		wg.Go(func() {
			before := highest.Load()
			if g.Check(i+1) == nil {
				require.GreaterOrEqual(t, i+1, before, "passed below one that had passed before")
				for h := highest.Load(); h < i+1 && !highest.CompareAndSwap(h, i+1); h = highest.Load() {
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1000, g.Highest())
}

// crowd acts with each token from 1 to 60, and appends to PATH.log inside the fence.
func crowd(path string) int {
	for token := uint64(1); token <= 60; token++ {
		err := fence.File{Path: path}.Do(context.Background(), token, func(context.Context) error {
			busy, err := os.OpenFile(path+".busy", os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("two at once: %w", err)
			}
			out, err := os.OpenFile(path+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(out, token)
			return errors.Join(err, out.Close(), busy.Close(), os.Remove(path+".busy"))
		})
		if err != nil && !errors.Is(err, fence.ErrStale) {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// TestProcessesActInTheOrderOfTheirTokensAndOneAtATime is the point of it all.
func TestProcessesActInTheOrderOfTheirTokensAndOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var crowd []*exec.Cmd
	for range 4 {
		cmd := exec.Command("/proc/self/exe")
		if _, err := os.Stat(cmd.Path); err != nil {
			cmd = exec.Command(os.Args[0])
		}
		cmd.Env = append(os.Environ(), crowdEnv+"="+path)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		crowd = append(crowd, cmd)
	}
	for _, cmd := range crowd {
		require.NoError(t, cmd.Wait())
	}
	text, err := os.ReadFile(path + ".log")
	require.NoError(t, err)
	var acted []uint64
	for word := range strings.FieldsSeq(string(text)) {
		var token uint64
		_, err := fmt.Sscan(word, &token)
		require.NoError(t, err)
		acted = append(acted, token)
	}
	require.True(t, slices.IsSorted(acted), "%v", acted)
	require.EqualValues(t, 60, acted[len(acted)-1])
}

func TestNewerTokenIsKeptBeforeItWaitsForAnOlderAct(t *testing.T) {
	f := fence.File{Path: filepath.Join(t.TempDir(), "state")}
	old, err := f.Enter(t.Context(), 5)
	require.NoError(t, err)

	result := make(chan error, 1)
	acted := make(chan struct{})
	go func() {
		result <- f.Do(t.Context(), 7, func(context.Context) error { close(acted); return nil })
	}()
	require.Eventually(t, func() bool { return errors.Is(f.Check(6), fence.ErrStale) }, time.Minute, time.Millisecond)
	_, err = f.Enter(t.Context(), 5)
	require.ErrorIs(t, err, fence.ErrStale, "not even the one that acts begins anew")
	select {
	case <-acted:
		require.Fail(t, "the newer one acted beside the older one")
	default:
	}
	old.Close()
	require.NoError(t, <-result)
	<-acted
}

func TestWhoWaitedIsRefusedWhenANewerOneHasCome(t *testing.T) {
	f := fence.File{Path: filepath.Join(t.TempDir(), "state")}
	old, err := f.Enter(t.Context(), 5)
	require.NoError(t, err)
	waits := make(chan error, 1)
	go func() {
		_, err := f.Enter(t.Context(), 6)
		waits <- err
	}()
	require.Eventually(t, func() bool { return errors.Is(f.Check(5), fence.ErrStale) }, time.Minute, time.Millisecond)
	require.NoError(t, f.Check(7))
	old.Close()
	require.ErrorIs(t, <-waits, fence.ErrStale)
}

func TestWaitForAnOlderActIsBounded(t *testing.T) {
	f := fence.File{Path: filepath.Join(t.TempDir(), "state")}
	old, err := f.Enter(t.Context(), 5)
	require.NoError(t, err)
	defer old.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = f.Do(ctx, 7, func(context.Context) error { return errors.New("acted") })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "an older goose is still at work")
}

func TestErrorOfTheActIsGivenAndTheFenceIsFreeAgain(t *testing.T) {
	f := fence.File{Path: filepath.Join(t.TempDir(), "state")}
	broken := errors.New("broken")
	require.Equal(t, broken, f.Do(t.Context(), 1, func(context.Context) error { return broken }))
	require.NoError(t, f.Do(t.Context(), 1, func(context.Context) error { return nil }))
}

// TestLockLastsAsLongAsWhatWasStartedUnderIt: who entered is gone, his child is not.
func TestLockLastsAsLongAsWhatWasStartedUnderIt(t *testing.T) {
	f := fence.File{Path: filepath.Join(t.TempDir(), "state")}
	e, err := f.Enter(t.Context(), 5)
	require.NoError(t, err)
	child := exec.Command("sleep", "1000")
	child.ExtraFiles = []*os.File{e.Lock}
	child.SysProcAttr = &syscall.SysProcAttr{}
	require.NoError(t, child.Start())
	e.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = f.Enter(ctx, 7)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait(), "killed")
	require.NoError(t, f.Do(t.Context(), 7, func(context.Context) error { return nil }))
}

// TestEveryPathLeadsToTheOneFence: else an older token would pass what a newer one closed.
func TestEveryPathLeadsToTheOneFence(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Mkdir(in("real"), 0o700))
	require.NoError(t, os.Symlink("real", in("folder")))
	for name, to := range map[string]string{
		"absolute": in("real/state"), "relative": "real/state", "chain": "relative", "through": "folder/../real/state", "real/beside": "state",
	} {
		require.NoError(t, os.Symlink(to, in(name)))
	}
	t.Chdir(dir)
	token := uint64(2) // the first link leads to what is not there yet
	for _, path := range []string{in("absolute"), in("relative"), "relative", in("chain"), "chain", in("through"), in("folder/state"), "folder/beside", "real/state"} {
		require.NoError(t, fence.Check(path, token), path)
		require.ErrorIs(t, fence.Check(in("real/state"), token-1), fence.ErrStale, path)
		e, err := fence.File{Path: path}.Enter(t.Context(), token)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = fence.File{Path: in("real/state")}.Enter(ctx, token)
		require.ErrorIs(t, err, context.Canceled, "%s: somebody acts", path)
		e.Close()
		token++
	}
	left, err := filepath.Glob(in("*"))
	require.NoError(t, err)
	require.Len(t, left, 6, "nothing but the folders and links: %v", left)

	require.NoError(t, os.Symlink("loop", in("loop")))
	require.ErrorContains(t, fence.Check(in("loop"), token), "symbolic links")
}

// TestLinkIsNoFence: by two names an older token would pass what a newer one closed.
func TestLinkIsNoFence(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "state"), filepath.Join(dir, "other")
	require.NoError(t, fence.Check(path, 9))
	require.NoError(t, os.Link(path, other))
	require.ErrorIs(t, fence.Check(other, 10), nofollow.ErrLink)
	require.ErrorIs(t, fence.Check(path, 10), nofollow.ErrLink)
	require.NoError(t, os.Remove(other))
	require.NoError(t, fence.Check(path, 9), "nothing was changed")
	for _, suffix := range []string{".lock", ".work", ".new"} {
		dir := t.TempDir()
		theirs := filepath.Join(dir, "theirs")
		require.NoError(t, os.WriteFile(theirs, []byte("theirs"), 0o600))
		f := fence.File{Path: filepath.Join(dir, "state")}
		require.NoError(t, os.Symlink(theirs, f.Path+suffix))
		err := f.Do(t.Context(), 1, func(context.Context) error { return nil })
		if suffix != ".new" { // made anew each time
			require.ErrorIs(t, err, nofollow.ErrLink)
		}
		text, err := os.ReadFile(theirs)
		require.NoError(t, err)
		require.Equal(t, "theirs", string(text))
	}
}
