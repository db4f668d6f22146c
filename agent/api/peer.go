package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
)

// peer is the program at the other end of a connection of the unix socket.
type peer struct {
	conn     *net.UnixConn
	known    bool // the system told us pid and uid
	pid, uid int
}

// peerOf asks the system who is at the other end.
func peerOf(c *net.UnixConn) peer {
	p := peer{conn: c, uid: -1}
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { p.ask(int(fd)) }) // fails only for a closed connection: not known
	}
	return p
}

type peerKey struct{}

// callerOf returns the sender of a request; unknown unless it came by a unix socket.
func callerOf(r *http.Request) peer {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok {
		return peer{uid: -1}
	}
	return p
}

// CallerName names the program that sent the request of ctx, for logs.
func CallerName(ctx context.Context) string {
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok || !p.known {
		return "an unknown program"
	}
	return fmt.Sprintf("process %d of user %d", p.pid, p.uid)
}

// mayChange returns an error if the caller of a request may not change anything.
func (h *handler) mayChange(r *http.Request) error {
	p, own := callerOf(r), os.Geteuid()
	switch {
	case p.mayChange():
		return nil
	case !p.known:
		return Forbidden("%s %s: the system did not tell which user calls, and only root and user %d may change anything", r.Method, r.URL.Path, own)
	default:
		return Forbidden("%s %s: user %d may only look; only root and user %d may change anything", r.Method, r.URL.Path, p.uid, own)
	}
}

// process is another process, whose end can be waited for.
type process struct {
	gone  chan struct{} // closed when it has ended; never, where we cannot know
	file  *os.File      // a pidfd; nil where there is none
	ended chan struct{} // closed when the goroutine that waits has ended
}

// close stops waiting.
func (p *process) close() {
	if p.file != nil {
		_ = p.file.Close() // nothing was written to it
		<-p.ended
	}
}
