package api_test

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// listen makes a socket that is closed when the test ends.
func listen(t *testing.T, path string, mode fs.FileMode) *api.Socket {
	t.Helper()
	s, err := api.ListenSocket(path, mode)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // a test may have taken its file away
	return s
}

// leaveDead leaves the file of a socket that nobody listens at.
func leaveDead(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	ln.SetUnlinkOnClose(false)
	require.NoError(t, ln.Close())
	require.FileExists(t, path)
}

func TestSocketHasItsModeAndItsFolderIsPrivate(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666} {
		s := listen(t, filepath.Join(filepath.Dir(socketPath(t)), "made", "a.sock"), mode)
		info, err := os.Stat(s.Path())
		require.NoError(t, err)
		require.Equal(t, mode|fs.ModeSocket, info.Mode())
		folder, err := os.Stat(filepath.Dir(s.Path()))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o700), folder.Mode().Perm())
	}
}

func TestDeadSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	leaveDead(t, path)
	s := listen(t, path, 0o600)
	serve(t, apitest.New(), api.Local, s)
	require.Equal(t, 200, do(t, clientOf(path), "GET", "/v1/status", "").code)
}

func TestLiveSocketIsNeverReplacedAndTheErrorNamesItsAgent(t *testing.T) {
	path := socketPath(t)
	serve(t, apitest.New(), api.Local, listen(t, path, 0o600))
	_, err := api.ListenSocket(path, 0o600)
	require.EqualError(t, err, fmt.Sprintf(
		"socket %s is taken: agent a at 127.0.0.1:3825 (process %d) answers there: name another with --socket, or another agent with --name", path, os.Getpid()))
	require.Equal(t, 200, do(t, clientOf(path), "GET", "/v1/status", "").code, "it goes on")
}

func TestLiveSocketOfAnotherProgramIsNeverReplaced(t *testing.T) {
	path := socketPath(t)
	listen(t, path, 0o600) // nobody accepts, and nobody answers
	_, err := api.ListenSocket(path, 0o600)
	require.EqualError(t, err, fmt.Sprintf(
		"socket %s is taken: process %d answers there: name another with --socket, or another agent with --name", path, os.Getpid()))
}

func TestSocketWhoseQueueIsFullIsNeverReplaced(t *testing.T) {
	path := socketPath(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(fd, 0))
	var conns []net.Conn
	for err == nil {
		var c net.Conn
		if c, err = net.Dial("unix", path); err == nil {
			conns = append(conns, c)
		}
		require.Less(t, len(conns), 100)
	}
	_, err = api.ListenSocket(path, 0o600)
	require.ErrorContains(t, err, "socket "+path+" may be in use: ")
	require.FileExists(t, path)
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
}

func TestWhatIsNoSocketIsLeftAlone(t *testing.T) {
	path := socketPath(t)
	want := path + " exists and is not a socket: remove it, or name another path with --socket"

	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err := api.ListenSocket(path, 0o600)
	require.EqualError(t, err, want)
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "precious", string(kept))
	require.NoError(t, os.Remove(path))

	other := socketPath(t)
	leaveDead(t, other)
	require.NoError(t, os.Symlink(other, path))
	_, err = api.ListenSocket(path, 0o600)
	require.EqualError(t, err, want, "a link to a dead socket")
	require.FileExists(t, other)
}

func TestFolderThatCannotBeMadeIsNamed(t *testing.T) {
	path := socketPath(t)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := api.ListenSocket(filepath.Join(path, "a.sock"), 0o600)
	require.ErrorContains(t, err, "make the socket's folder: ")
	require.ErrorContains(t, err, path)
}

func TestPathTheSystemCannotTakeIsRefusedWithTheLimit(t *testing.T) {
	folder := filepath.Dir(socketPath(t))
	long := filepath.Join(folder, strings.Repeat("x", api.MaxSocketPath()-len(folder)-2))
	require.Len(t, long, api.MaxSocketPath()-1)
	require.NoError(t, listen(t, long, 0o600).Close(), "the longest that fits")

	long += "x"
	want := fmt.Sprintf("socket path %s has %d bytes, and this system allows %d: name a shorter one with --socket", long, len(long), len(long)-1)
	require.EqualError(t, api.CheckSocketPath(long), want)
	_, err := api.ListenSocket(long, 0o600)
	require.EqualError(t, err, want)

	_, err = api.ListenSocket("", 0o600)
	require.EqualError(t, err, "the socket's path is empty: name one with --socket")
}

func TestCloseRemovesTheSocketOnlyWhileItIsOurs(t *testing.T) {
	path := socketPath(t)
	ours := listen(t, path, 0o600)
	require.NoError(t, ours.Close())
	require.NoFileExists(t, path)
	require.NoError(t, ours.Close(), "twice is safe")

	ours = listen(t, path, 0o600)
	require.NoError(t, os.Remove(path))
	theirs := listen(t, path, 0o600)
	require.NoError(t, ours.Close())
	require.FileExists(t, path)
	require.NoError(t, theirs.Close())
	require.NoFileExists(t, path)

	ours = listen(t, path, 0o600)
	require.NoError(t, os.RemoveAll(filepath.Dir(path)))
	require.NoError(t, ours.Close(), "the folder may be gone")
}

func TestOneOfManyThatStartAtOnceGetsTheSocket(t *testing.T) {
	path := socketPath(t)
	for range 5 {
		leaveDead(t, path)
		sockets := make([]*api.Socket, 8)
		var all sync.WaitGroup
		for i := range sockets {
			all.Go(func() {
				s, err := api.ListenSocket(path, 0o600)
				if err == nil {
					sockets[i] = s
					go func() { _ = api.NewServer(apitest.New(), api.Local, nil).Serve(s) }() // so that the others are answered
				}
			})
		}
		all.Wait()
		sockets = slices.DeleteFunc(sockets, func(s *api.Socket) bool { return s == nil })
		require.Len(t, sockets, 1)
		c, err := net.Dial("unix", path)
		require.NoError(t, err, "and it stays at its path")
		require.NoError(t, c.Close())
		require.NoError(t, sockets[0].Close())
	}
}

func TestFolderThatAnotherProgramHasLockedIsNotWaitedForWithoutEnd(t *testing.T) {
	folder := filepath.Dir(socketPath(t))
	unlock, err := api.LockFolder(folder, 0)
	require.NoError(t, err)
	_, err = api.LockFolder(folder, 30*time.Millisecond)
	require.EqualError(t, err, "the socket's folder "+folder+" has been locked by another program for 30ms: name a socket in your own folder with --socket")

	got := make(chan error, 1)
	go func() {
		again, err := api.LockFolder(folder, soon)
		if err == nil {
			again()
		}
		got <- err
	}()
	unlock()
	require.NoError(t, next(t, got))
}

// TestFolderOfAStrangerIsRefused: /tmp/ddgoose-1000 may have been made by
// anyone before user 1000 came to it.
func TestFolderOfAStrangerIsRefused(t *testing.T) {
	everyones := filepath.Dir(socketPath(t))
	require.NoError(t, os.Chmod(everyones, 0o777|fs.ModeSticky))
	folder := filepath.Join(everyones, "ddgoose-1000", "flock")
	owner := os.Geteuid()
	root := owner == 0
	if root {
		owner = nobody
	}
	require.NoError(t, api.CheckFolderAs(owner, folder), "not made yet")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	if root {
		require.NoError(t, os.Chown(filepath.Dir(folder), owner, owner))
	}
	require.NoError(t, api.CheckFolderAs(owner, folder))
	require.EqualError(t, api.CheckFolderAs(owner+1, folder), fmt.Sprintf(
		"folder %s belongs to user %d, who could answer for any agent in it: remove it, or name a socket elsewhere with --socket", filepath.Dir(folder), owner))

	require.NoError(t, os.Chmod(everyones, 0o755))
	if !root {
		owner-- // the folder above belongs to this user, and in a folder for everyone that is a stranger
	}
	require.NoError(t, api.CheckFolderAs(owner+1, folder), "only the owner of a private folder can have put it there")
}
