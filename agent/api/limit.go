package api

import (
	"errors"
	"log/slog"
	"net"
	"sync"

	"duckduckgoose/agent/quietlog"
)

// limitedListener accepts at most so many connections at a time; the others
// wait in the system's queue.
type limitedListener struct {
	net.Listener
	quiet  *quietlog.Log // hears why none can be accepted
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func limit(ln net.Listener, n int, log *slog.Logger) *limitedListener {
	return &limitedListener{Listener: ln, quiet: &quietlog.Log{Out: log}, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		if !errors.Is(err, net.ErrClosed) { // package http tries again, after ever longer pauses
			l.quiet.Warn("accept", "callers wait: their connections cannot be accepted", "at", l.Addr().String(), "error", err)
		}
		return nil, err
	}
	return &limitedConn{Conn: c, listener: l}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedConn gives its place free when it is closed.
type limitedConn struct {
	net.Conn
	listener *limitedListener
	once     sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.listener.slots })
	return err
}
