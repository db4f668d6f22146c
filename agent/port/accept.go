package port

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// stream handles an accepted stream. Its preface must name the sender, and its request
// must be complete and valid, before memberlist gets it.
func (p *Port) stream(raw net.Conn) {
	if !p.track(raw) {
		return
	}
	s := &stream{Conn: raw, port: p, host: api.HostPrefix(raw.RemoteAddr())}
	p.in.take(s)
	go func() {
		defer p.ended.Done()
		id, err := p.admit(raw)
		if err == nil {
			err = s.receive()
		}
		if err != nil {
			_ = s.Close()
			return
		}
		p.in.complete(s)
		joins, joined := s.asksForAll() && !p.knows(id), false
		turns := p.turns
		if s.isHere() {
			turns = p.here
		}
		done, ok := turns.wait(p.ctx, func() bool {
			joined = joins && p.knows(id) // through another agent meanwhile
			return !joined && !p.in.evicted(s)
		})
		if !ok {
			if !joined {
				p.opts.Counts.Of("dropped_stream_late").Add(1)
			}
			_ = s.Close()
			return
		}
		s.served = sync.OnceFunc(done)
		select {
		case p.streams <- s:
		case <-p.ctx.Done():
			_ = s.Close()
		}
	}()
}

// track registers a stream for Shutdown to close, and one goroutine for it to wait for.
// After Shutdown it closes the stream and returns false.
func (p *Port) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		_ = conn.Close()
		return false
	}
	p.mu.open[conn] = struct{}{}
	p.ended.Add(1)
	return true
}

// knows reports whether gossip shows an agent.
func (p *Port) knows(id election.ID) bool {
	if p.opts.Sender == nil {
		return false
	}
	_, addr := p.opts.Sender(id)
	return addr.IsValid()
}

// admit reads the preface, which names the sender, and the label after it.
func (p *Port) admit(conn net.Conn) (id election.ID, err error) {
	if err := conn.SetDeadline(time.Now().Add(prefaceWait)); err != nil {
		return id, err
	}
	from := conn.RemoteAddr().String()
	id, err = wire.ReadPreface(conn, p.opts.Keys.Load())
	if err != nil {
		p.refuse(conn, from, err)
		return id, err
	}
	if _, ok := readLabel(conn); !ok {
		p.opts.Counts.Of("refused_stream_" + wire.DropMalformed).Add(1)
		return id, errors.New("no flock label")
	}
	if c, ok := conn.(interface {
		Identify(name string, addr netip.AddrPort) error
	}); ok {
		if err := c.Identify(p.opts.Sender(id)); err != nil {
			return id, err
		}
	}
	return id, conn.SetDeadline(time.Now().Add(requestWait))
}

// refuse counts a stream that is not for us, and reports why. It answers with our label,
// our version of gossip and our key's id, so that the dialer sees more than an EOF. The
// answer is never larger than what came.
func (p *Port) refuse(conn net.Conn, from string, err error) {
	reason := wire.DropMalformed
	var drop *wire.DropError
	if errors.As(err, &drop) {
		reason = drop.Reason
	}
	p.opts.Counts.Of("refused_stream_" + reason).Add(1)
	if drop == nil {
		return // it sent nothing to answer
	}
	label, ok := readLabel(conn)
	switch {
	case ok && label != p.opts.Label:
		p.opts.OtherLabel(from, label)
	case OfKeys(reason):
		p.opts.OtherKeys(Host(from), Host(from)+" "+drop.Error())
	case reason == wire.DropFrameVersion:
		p.opts.OtherVersion(Host(from), Host(from)+" "+drop.Error())
	default:
		p.opts.Quiet.Warn("stream "+reason+" "+Host(from), "stream refused: "+from+" "+drop.Error())
	}
	if ok && len(p.opts.Label) <= len(label)+len(p.opts.Self) {
		answer := append(labelHeader(p.opts.Label), wire.GossipVersion)
		if ids := p.opts.Keys.Load().KeyIDs(); len(ids) > 0 {
			answer = append(answer, ids[0]...)
		}
		_, _ = conn.Write(answer)
	}
}

// refused reads why the other end refused, and reports it.
func (s *stream) refused() error {
	p := s.port
	label, ok := readLabel(io.MultiReader(bytes.NewReader([]byte{labelByte}), s.Conn))
	version := []byte{1} // version 1 does not send its number
	_, _ = io.ReadFull(s.Conn, version)
	switch {
	case ok && label != p.opts.Label:
		p.opts.OtherLabel(s.to, label)
	case ok && version[0] != wire.GossipVersion:
		p.opts.OtherVersion(Host(s.to), fmt.Sprintf("%s refuses our streams: it speaks gossip version %d, we speak %d", s.to, version[0], wire.GossipVersion))
	default:
		other := "no key"
		if id, _ := io.ReadAll(io.LimitReader(s.Conn, 8)); len(id) == 8 && isHex(id) {
			other = "key " + string(id)
		}
		p.opts.OtherKeys(Host(s.to), fmt.Sprintf("%s refuses our streams: it seals with %s, %s", s.to, other, held(p.opts.Keys.Load())))
	}
	return fmt.Errorf("%s refused the stream", s.to)
}

func isHex(b []byte) bool {
	_, err := hex.DecodeString(string(b))
	return err == nil
}

// labelByte starts a flock's label on a stream.
const labelByte = 244

func labelHeader(label string) []byte {
	return append([]byte{labelByte, byte(len(label))}, label...)
}

// readLabel reads the label after a preface. The label is not encrypted, so that an
// agent of another flock can be named.
func readLabel(r io.Reader) (string, bool) {
	b := make([]byte, 2, 2+wire.MaxLabel)
	if _, err := io.ReadFull(r, b); err != nil || b[0] != labelByte {
		return "", false
	}
	b = b[:2+int(b[1])]
	if _, err := io.ReadFull(r, b[2:]); err != nil {
		return "", false
	}
	return wire.FlockLabelOf(b)
}

// OfKeys reports whether a drop has this reason because the sender has other keys.
func OfKeys(reason string) bool {
	return reason == wire.DropUnknownKey || reason == wire.DropUnsealed
}

// Host returns the host of HOST:PORT.
func Host(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// held lists the ids of our keys.
func held(k *wire.Keyring) string {
	if ids := k.KeyIDs(); len(ids) > 0 {
		return "we hold " + strings.Join(ids, ", ")
	}
	return "we hold none"
}
