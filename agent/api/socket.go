package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockTime bounds the wait for a folder's lock: others hold it for moments.
	lockTime = 5 * time.Second
	// lockRetry is the pause between two attempts to lock the folder.
	lockRetry = 10 * time.Millisecond
)

// maxSocketPath is what fits into sockaddr_un: 108 bytes on Linux, 104 on
// darwin, the closing zero included.
var maxSocketPath = len(unix.RawSockaddrUnix{}.Path)

// CheckSocketPath refuses a path that is too long or empty for a unix socket.
func CheckSocketPath(path string) error {
	switch {
	case path == "":
		return Input("the socket's path is empty: name one with --socket")
	case len(path) >= maxSocketPath:
		return Input("socket path %s has %d bytes, and this system allows %d: name a shorter one with --socket",
			path, len(path), maxSocketPath-1)
	}
	return nil
}

// Socket is a listening unix socket. It is a net.Listener.
type Socket struct {
	*net.UnixListener
	path  string
	inode inode
	close sync.Once
}

var _ net.Listener = (*Socket)(nil)

// inode identifies our socket file, even if another agent made one at its path.
type inode struct{ dev, ino uint64 }

// ListenSocket makes a unix socket at path, with exactly this mode. A missing folder is
// made, for this user only. A socket that no program answers is replaced. A socket that
// a program answers is never replaced: the error names the program.
//
// The socket is bound, then gets its mode, and only then listens. A connection before
// that is refused, so no caller slips in while the mode is still what the umask made of
// it; and the umask, which all goroutines share, stays as it is. A lock on the folder
// keeps two agents that start at the same time from taking each other's new socket for a
// dead one.
func ListenSocket(path string, mode fs.FileMode) (*Socket, error) {
	if err := CheckSocketPath(path); err != nil {
		return nil, err
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the socket's folder: %w", err)
	}
	if err := CheckSocketFolder(folder); err != nil {
		return nil, err
	}
	unlock, err := lockFolder(folder, lockTime)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := makeRoom(path); err != nil {
		return nil, err
	}
	s, err := bindSocket(path, mode)
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", path, err)
	}
	return s, nil
}

// CheckSocketFolder refuses a folder that another user has made in a place where every
// user may, such as /tmp: that user could replace the agent's socket and answer for the
// agent. Root may use any folder, because its sockets are elsewhere unless it says so.
func CheckSocketFolder(folder string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return checkFolder(folder, os.Geteuid())
}

// CheckDataFolder is CheckSocketFolder for a data directory. It holds for root, too: the
// folder's owner could replace the agent's promises.
func CheckDataFolder(folder string) error {
	owner, path, err := strangersFolder(folder, os.Geteuid())
	if err == nil && path != "" {
		err = Input("data directory %s: folder %s belongs to user %d, who could replace what the agent keeps: remove it, or name another with --data-dir", folder, path, owner)
	}
	return err
}

// checkFolder is CheckSocketFolder for user uid.
func checkFolder(folder string, uid int) error {
	owner, path, err := strangersFolder(folder, uid)
	if err == nil && path != "" {
		err = fmt.Errorf("folder %s belongs to user %d, who could answer for any agent in it: remove it, or name a socket elsewhere with --socket", path, owner)
	}
	return err
}

// strangersFolder returns the folder, or the one above it, that another user than root and
// uid made where every user may; "" if nobody did. A folder that does not exist has no
// owner.
func strangersFolder(folder string, uid int) (owner uint32, stranger string, err error) {
	path, err := filepath.Abs(folder)
	if err != nil {
		return 0, "", fmt.Errorf("find folder %s: %w", folder, err)
	}
	for up := filepath.Dir(path); path != up; path, up = up, filepath.Dir(up) {
		above, err := os.Stat(up)
		if err != nil || above.Mode()&fs.ModeSticky == 0 || above.Mode().Perm()&0o002 == 0 {
			continue
		}
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil && st.Uid != 0 && int(st.Uid) != uid {
			return st.Uid, path, nil
		}
	}
	return 0, "", nil
}

// lockFolder lets one agent at a time make or remove sockets in a folder. Any user who
// can read the folder can hold its lock, so the wait is bounded.
func lockFolder(folder string, wait time.Duration) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("open the socket's folder: %w", err)
	}
	for end := time.Now().Add(wait); ; time.Sleep(lockRetry) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil // closing unlocks; nothing was written
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("lock the socket's folder %s: %w", folder, err), f.Close())
		case time.Now().After(end):
			return nil, errors.Join(fmt.Errorf("the socket's folder %s has been locked by another program for %v: name a socket in your own folder with --socket", folder, wait), f.Close())
		}
	}
}

// makeRoom removes a socket that no program answers, and refuses anything else at path.
func makeRoom(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at socket %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket: remove it, or name another path with --socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		defer c.Close()
		return fmt.Errorf("socket %s is taken: %s answers there: name another with --socket, or another agent with --name", path, whoAnswers(path, c))
	case !errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("socket %s may be in use: %w: name another with --socket", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the dead socket: %w", err)
	}
	return nil
}

// whoAnswers names the program that listens at a socket, as far as it can.
func whoAnswers(path string, c net.Conn) string {
	who := "a program"
	if u, ok := c.(*net.UnixConn); ok {
		if p := peerOf(u); p.known && p.pid > 0 {
			who = fmt.Sprintf("process %d", p.pid)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/v1/status", nil)
	if err != nil {
		return who
	}
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return who
	}
	defer resp.Body.Close()
	var s Status
	if json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&s) != nil || s.Name == "" {
		return who
	}
	return fmt.Sprintf("agent %s at %s (%s)", s.Name, s.Addr, who)
}

func bindSocket(path string, mode fs.FileMode) (_ *Socket, err error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // the listener has its own copy
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path) // ours, by the folder's lock
		}
	}()
	if err := os.Chmod(path, mode); err != nil {
		return nil, err
	}
	id, err := inodeOf(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	u := ln.(*net.UnixListener)
	u.SetUnlinkOnClose(false) // Close first checks whose file it is
	return &Socket{UnixListener: u, path: path, inode: id}, nil
}

func inodeOf(path string) (inode, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return inode{}, fmt.Errorf("look at socket: %w", err)
	}
	return inode{dev: uint64(st.Dev), ino: st.Ino}, nil
}

// Path returns the path of the socket.
func (s *Socket) Path() string { return s.path }

// Removed reports whether the socket's path is empty. Another program's file there does
// not count as removed.
func (s *Socket) Removed() bool {
	_, err := os.Lstat(s.path)
	return errors.Is(err, fs.ErrNotExist)
}

// Close stops listening and removes the socket's file, if it is still ours. A second
// call does nothing.
func (s *Socket) Close() (err error) {
	s.close.Do(func() { err = errors.Join(s.removeFile(), s.UnixListener.Close()) })
	return err
}

// removeFile runs before closing. Until then no agent takes the socket for a dead one,
// and while it is open its inode number is not reused.
func (s *Socket) removeFile() error {
	unlock, err := lockFolder(filepath.Dir(s.path), lockTime)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	if id, err := inodeOf(s.path); err != nil || id != s.inode {
		return nil // removed, or another program's
	}
	return os.Remove(s.path)
}
