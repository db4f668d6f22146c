package api

import (
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

// callerOf gives who sent a request; not known when it did not come by a unix socket.
func callerOf(r *http.Request) peer {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok {
		return peer{uid: -1}
	}
	return p
}

// mayChange gives why the caller of a request may not change anything; nil: it may.
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
