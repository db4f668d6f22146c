// Package proxy forwards TCP connections to the machine of the goose.
//
// A connection belongs to one goose period: it is opened during the period and reset at
// its end, so it never reaches two geese. After a planned hand-over it may finish first,
// for Options.Drain. While no goose is known, new connections are reset at once, and open
// ones after Target.Wait, so that a few lost heartbeats cost no connection.
//
// What the proxy knows of the goose is a snapshot: the goose's program may still answer
// for a moment after its lease has ended. Where that matters, the receiver must check
// the token.
package proxy

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// dialTime bounds the wait for the goose's program.
const dialTime = 3 * time.Second

// Options are the settings of a Proxy.
type Options struct {
	// Drain is how long connections may continue after a planned hand-over.
	Drain time.Duration
	// Note is called with a line for people at each change; nil: it is not.
	Note func(format string, args ...any)
}

// Target is where connections go.
type Target struct {
	Token uint64 // of the goose period; 0: there is no goose
	Addr  string // HOST:PORT of the goose's program; "": see Why
	Name  string // of the goose, for people
	Why   string // why nothing can be forwarded, for people
	// Wait is how long connections may continue while there is no goose.
	Wait time.Duration
}

// Proxy forwards connections. Its methods may be called from any goroutine.
type Proxy struct {
	opts Options

	mu     sync.Mutex // guards what follows
	target Target
	period *period   // of target; nil: nothing is forwarded
	last   *period   // of the last goose, while there is none
	old    []*period // whose connections may still finish
	wg     sync.WaitGroup
	ended  bool
}

// period is the connections of one goose period.
type period struct {
	Target
	ends  context.Context // over: its connections are reset
	end   context.CancelFunc
	count int         // connections; guarded by the proxy's lock
	timer *time.Timer // ends it; nil: nothing does
}

// within ends a period after d at the latest.
func (at *period) within(d time.Duration) {
	if at.timer != nil {
		at.timer.Stop()
	}
	if at.timer = nil; d > 0 {
		at.timer = time.AfterFunc(d, at.end)
	} else {
		at.end()
	}
}

// New makes a proxy that knows no goose.
func New(opts Options) *Proxy {
	if opts.Note == nil {
		opts.Note = func(string, ...any) {}
	}
	return &Proxy{opts: opts, target: Target{Why: "no goose is known"}}
}

// Follow sets the present goose. planned says that the last one handed over.
func (p *Proxy) Follow(t Target, planned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t == p.target || p.ended {
		return
	}
	was := cmp.Or(p.period, p.last)
	p.target, p.period, p.last = t, nil, nil
	switch {
	case t.Addr == "":
		p.opts.Note("connections are refused: %s", t.Why)
	case was != nil && was.Target == t && was.ends.Err() == nil && was.timer.Stop():
		p.period, was.timer = was, nil
		p.opts.Note("forwarding to %s at %s again (token %d)", t.Name, t.Addr, t.Token)
		return
	default:
		ends, end := context.WithCancel(context.Background())
		p.period = &period{Target: t, ends: ends, end: end}
		p.opts.Note("forwarding to %s at %s (token %d)", t.Name, t.Addr, t.Token)
	}
	switch {
	case was == nil:
	case t.Token == 0:
		p.last = was
		was.within(t.Wait)
	case planned && was.count > 0 && p.opts.Drain > 0:
		p.opts.Note("%d connections to %s may finish within %v", was.count, was.Addr, p.opts.Drain)
		was.within(p.opts.Drain)
		p.old = append(p.old, was)
	default:
		was.within(0)
	}
	if t.Token == 0 {
		for _, old := range p.old {
			old.within(0) // nobody knows whether they still lead
		}
	}
}

// Serve forwards the connections that ln accepts until ctx ends; then they may finish
// for Options.Drain. It closes ln. It returns an error only if ln fails.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() }) // Accept tells
	defer stop()
	var pause time.Duration
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			p.wg.Go(func() { p.serve(conn, ln.Addr()) })
			continue
		case ctx.Err() != nil:
			p.finish()
			return nil
		case errors.Is(err, net.ErrClosed):
			p.finish()
			return err
		}
		if pause == 0 { // once: out of descriptors, most likely
			p.opts.Note("accept: %v", err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// finish waits until all connections have ended or their time is over.
func (p *Proxy) finish() {
	p.mu.Lock()
	p.ended = true
	for _, at := range append(p.old, p.period, p.last) {
		if at != nil && at.timer == nil {
			at.within(p.opts.Drain)
		}
	}
	p.period = nil
	p.mu.Unlock()
	p.wg.Wait()
}

// enter adds a connection to the present period; nil: there is none.
func (p *Proxy) enter() *period {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.period != nil {
		p.period.count++
	}
	return p.period
}

// leave undoes enter.
func (p *Proxy) leave(at *period) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.count--; at.count == 0 && at != p.period && at != p.last {
		at.within(0)
		p.old = slices.DeleteFunc(p.old, func(old *period) bool { return old == at })
	}
}

func (p *Proxy) serve(conn net.Conn, listening net.Addr) {
	defer conn.Close()
	at := p.enter()
	if at == nil {
		reset(conn)
		return
	}
	defer p.leave(at)
	dial, cancel := context.WithTimeout(at.ends, dialTime)
	defer cancel()
	there, err := new(net.Dialer).DialContext(dial, "tcp", at.Addr)
	if err != nil {
		reset(conn)
		return
	}
	defer there.Close()
	if circle(there, listening) {
		p.opts.Note("%s is this proxy's own address: the goose's program must listen elsewhere", at.Addr)
		reset(conn)
		return
	}
	stop := context.AfterFunc(at.ends, func() {
		reset(conn)
		reset(there)
	})
	defer stop()
	var one sync.WaitGroup
	one.Go(func() { pipe(there, conn) })
	pipe(conn, there)
	one.Wait()
}

// pipe copies until from ends, then ends to. On Linux the kernel moves the bytes (splice).
func pipe(to, from net.Conn) {
	t, f := to.(*net.TCPConn), from.(*net.TCPConn)
	_, err := t.ReadFrom(f)
	if err == nil {
		err = t.CloseWrite()
	}
	if err != nil { // one side is broken, so the other is of no use
		reset(to)
		reset(from)
	}
}

// reset closes a connection so that its other end gets an error instead of an end.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it may be closed already
	}
	_ = conn.Close()
}

// circle reports whether a connection leads back to the listener.
func circle(conn net.Conn, listening net.Addr) bool {
	there, _ := conn.RemoteAddr().(*net.TCPAddr)
	here, _ := conn.LocalAddr().(*net.TCPAddr)
	own, ok := listening.(*net.TCPAddr)
	if !ok || there == nil || here == nil || there.Port != own.Port || !there.IP.Equal(here.IP) {
		return false // only connections within a machine have one address at both ends
	}
	return own.IP.IsUnspecified() || own.IP.Equal(there.IP)
}
