package port

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"duckduckgoose/wire"
)

const (
	// prefaceWait is how long an accepted stream has to name its sender.
	prefaceWait = 2 * time.Second
	// requestWait is how long the stream's request may take after that.
	requestWait = 10 * time.Second
	// firstRead is allocated for a message before any of it has arrived.
	firstRead = 4 << 10
	// memberCost is what memberlist allocates per member of a push/pull, besides the copy.
	memberCost = 192
)

// stream is a connection to another agent. A whole message is opened and checked before
// memberlist reads any of it; each Write is one message.
type stream struct {
	net.Conn
	port *Port
	host netip.Prefix
	to   string // the address we dialed; "": the other agent dialed

	read bool   // the message has been read
	came []byte // the part that memberlist has not read yet

	served func() // ends its turn, once; nil: it has none

	held  int  // its memory in bytes; guarded by inflow.mu
	gone  bool // closed, or about to be; guarded by inflow.mu
	whole bool // all of its request has come; guarded by inflow.mu
}

// comes returns the direction of what this agent reads from the stream.
func (s *stream) comes() wire.Way { return wire.Way(s.to != "") }

func (s *stream) Read(b []byte) (int, error) {
	if !s.read {
		if err := s.receive(); err != nil {
			return 0, err
		}
	}
	if len(s.came) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.came)
	s.came = s.came[n:]
	return n, nil
}

// receive reads the message. A bad one is counted by its reason.
func (s *stream) receive() error {
	s.read = true
	err := s.takeIn()
	var drop *wire.DropError
	if errors.As(err, &drop) {
		s.port.in.evict(s, drop.Reason)
	}
	return err
}

func (s *stream) takeIn() error {
	keys, head := s.port.opts.Keys.Load(), make([]byte, wire.StreamHead)
	if _, err := io.ReadFull(s.Conn, head[:1]); err != nil {
		return err
	}
	if s.to != "" && head[0] == labelByte {
		return s.refused()
	}
	if _, err := io.ReadFull(s.Conn, head[1:]); err != nil {
		return err
	}
	size, err := keys.StreamSize(s.comes(), head)
	if err != nil {
		return err
	}
	sealed, err := s.take(size)
	if err != nil {
		return err
	}
	message, members, err := keys.OpenStream(s.comes(), head, sealed)
	if err != nil {
		return err
	}
	s.came = message
	return s.port.in.grow(s, len(message)+members*memberCost)
}

// take reads n bytes. It allocates as the bytes arrive.
func (s *stream) take(n int) ([]byte, error) {
	var b []byte
	for len(b) < n {
		size := min(n, max(firstRead, 4*len(b)))
		if err := s.port.in.grow(s, size-len(b)); err != nil {
			return nil, err
		}
		more := make([]byte, size)
		copy(more, b)
		if _, err := io.ReadFull(s.Conn, more[len(b):]); err != nil {
			return nil, err
		}
		b = more
	}
	return b, nil
}

func (s *stream) Write(b []byte) (int, error) {
	if err := s.port.in.grow(s, 2*len(b)); err != nil {
		return 0, err
	}
	if _, err := s.Conn.Write(s.port.opts.Keys.Load().SealStream(!s.comes(), b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// asksForAll reports whether the request is for the state of the whole flock.
func (s *stream) asksForAll() bool { return wire.AsksForAll(s.came) }

// isHere reports whether the other end is on this machine.
func (s *stream) isHere() bool {
	return Host(s.Conn.LocalAddr().String()) == Host(s.Conn.RemoteAddr().String())
}

// Close is called by memberlist. A turn lasts until the sender of the request, who closes
// the stream too, has taken the answer, if that keeps this machine busy.
func (s *stream) Close() error {
	s.port.in.leave(s)
	if s.served == nil || !s.isHere() || !s.port.lingers(s) {
		return s.end()
	}
	return nil
}

// lingers waits in the background for the other end to close a stream. After Shutdown it
// gives false.
func (p *Port) lingers(s *stream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.ended.Go(func() {
		if s.Conn.SetReadDeadline(time.Now().Add(turnHere)) == nil {
			_, _ = s.Conn.Read(make([]byte, 1))
		}
		_ = s.end()
	})
	return true
}

// end closes the connection, and ends the turn of its request.
func (s *stream) end() error {
	if s.served != nil {
		s.served()
	}
	s.port.mu.Lock()
	delete(s.port.mu.open, s.Conn)
	s.port.mu.Unlock()
	return s.Conn.Close()
}
