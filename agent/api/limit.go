package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"

	"duckduckgoose/agent/quietlog"
)

const (
	// publicConns bounds the connections of --http at a time.
	publicConns = 512
	// localConns bounds the connections of root and the agent's own user at the socket;
	// strangerConns bounds those of all other users. So other users cannot keep out those
	// who may act.
	localConns    = 1024
	strangerConns = 256
)

// limitedListener accepts every connection. If a class has too many, it closes one of
// the source that has the most, so that a greedy source only harms itself. It prefers a
// connection that waits for a request to one that is being answered, and the one that
// has waited longest.
type limitedListener struct {
	net.Listener
	quiet *quietlog.Log // logs why no connection can be accepted
	mu    struct {      // guards what follows, and the fields of all connections
		sync.Mutex
		open []*serverConn // those that changed longest ago first
	}
}

// class is a set of sources with a common limit.
type class struct {
	most int
	// keeps: an answer under way never ends for a new connection. Holders of the lease
	// have such answers.
	keeps bool
}

var (
	everybody = &class{most: publicConns}
	trusted   = &class{most: localConns, keeps: true}
	strangers = &class{most: strangerConns}
)

// serverConn is an accepted connection.
type serverConn struct {
	net.Conn
	listener *limitedListener
	peer     peer // of a unix socket
	class    *class
	source   string

	answering bool
	gone      bool
}

func limit(ln net.Listener, log *slog.Logger) *limitedListener {
	return &limitedListener{Listener: ln, quiet: &quietlog.Log{Out: log}}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		if !errors.Is(err, net.ErrClosed) { // package http tries again, after growing pauses
			l.quiet.Warn("accept", "cannot accept connections: callers have to wait", "at", l.Addr().String(), "error", err)
		}
		return nil, err
	}
	g := &serverConn{Conn: c, listener: l}
	if u, ok := c.(*net.UnixConn); ok {
		g.peer = peerOf(u)
		g.class, g.source = strangers, fmt.Sprint("user ", g.peer.uid)
		if g.peer.mayChange() {
			g.class = trusted
		}
	} else {
		g.class, g.source = everybody, HostPrefix(c.RemoteAddr()).String()
	}
	l.mu.Lock()
	l.mu.open = append(l.mu.open, g)
	victim := l.surplus(g.class)
	if victim != nil {
		l.remove(victim)
	}
	l.mu.Unlock()
	if victim != nil {
		_ = victim.Conn.Close() // its server sees that, and cleans up
	}
	return g, nil
}

// surplus returns the connection to close in a class that has too many; nil: none. The
// caller holds mu.
func (l *limitedListener) surplus(of *class) (victim *serverConn) {
	count, all, most := map[string]int{}, 0, 0
	for _, g := range l.mu.open {
		if g.class == of {
			all++
			count[g.source]++
			most = max(most, count[g.source])
		}
	}
	if all <= of.most {
		return nil
	}
	for _, g := range l.mu.open {
		if g.class != of || count[g.source] < most {
			continue
		}
		if !g.answering {
			return g
		}
		if victim == nil && !of.keeps {
			victim = g
		}
	}
	return victim
}

// remove forgets a connection. The caller holds mu.
func (l *limitedListener) remove(g *serverConn) {
	if !g.gone {
		g.gone = true
		l.mu.open = slices.DeleteFunc(l.mu.open, func(o *serverConn) bool { return o == g })
	}
}

// answers records whether a request is being answered.
func (g *serverConn) answers(now bool) {
	l := g.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.gone {
		return
	}
	g.answering = now
	l.mu.open = append(slices.DeleteFunc(l.mu.open, func(o *serverConn) bool { return o == g }), g)
}

// answered ends an answer when it is written.
func answered(c net.Conn, state http.ConnState) {
	if g, ok := c.(*serverConn); ok && state == http.StateIdle {
		g.answers(false)
	}
}

func (g *serverConn) Close() error {
	g.listener.mu.Lock()
	g.listener.remove(g)
	g.listener.mu.Unlock()
	return g.Conn.Close()
}

type serverConnKey struct{}

// withGuest is the server's ConnContext.
func withGuest(ctx context.Context, c net.Conn) context.Context {
	g, ok := c.(*serverConn)
	if !ok {
		return ctx
	}
	ctx = context.WithValue(ctx, serverConnKey{}, g)
	if g.peer.conn != nil {
		ctx = context.WithValue(ctx, peerKey{}, g.peer)
	}
	return ctx
}

// mayChange reports whether a caller may change anything: only root and the agent's own
// user may, whatever the socket's mode. Where the system does not name the caller, the
// mode decides.
func (p *peer) mayChange() bool {
	if !credentials && p.conn != nil {
		return true
	}
	return p.known && (p.uid == 0 || p.uid == os.Geteuid())
}
