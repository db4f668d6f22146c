package api

import (
	"context"
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

type peerKey struct{}

// withPeer is the server's ConnContext.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if l, ok := c.(*limitedConn); ok {
		c = l.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, peerOf(u))
}

// callerOf gives who sent a request; not known when it did not come by a unix socket.
func callerOf(r *http.Request) peer {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok {
		return peer{uid: -1}
	}
	return p
}

// mayChange lets only root and the agent's own user change anything, whatever
// the socket's mode. Where the system does not tell who calls, the mode decides.
func (h *handler) mayChange(r *http.Request) error {
	p := callerOf(r)
	switch own := os.Geteuid(); {
	case !credentials && p.conn != nil:
		return nil
	case p.known && (p.uid == 0 || p.uid == own):
		return nil
	case !p.known:
		return Forbidden("%s %s: the system did not tell which user calls, and only root and user %d may change anything", r.Method, r.URL.Path, own)
	default:
		return Forbidden("%s %s: user %d may only look; only root and user %d may change anything", r.Method, r.URL.Path, p.uid, own)
	}
}

// process is another process that we may wait for.
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
