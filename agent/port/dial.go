package port

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/api"
	"duckduckgoose/wire"
)

func (p *Port) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return p.dial(p.ctx, addr, timeout)
}

func (p *Port) dial(ctx context.Context, addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	raw, err := p.opts.Transport.Dial(ctx, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	if err != nil {
		return nil, err
	}
	if !p.track(raw) {
		return nil, net.ErrClosed
	}
	defer p.ended.Done()
	s := &stream{Conn: raw, port: p, host: api.HostPrefix(raw.RemoteAddr()), to: addr}
	p.in.take(s)
	var opening bytes.Buffer
	if err = wire.WritePreface(&opening, p.opts.Keys.Load(), p.opts.Self); err == nil {
		opening.Write(labelHeader(p.opts.Label))
		if err = raw.SetWriteDeadline(time.Now().Add(timeout)); err == nil {
			_, err = raw.Write(opening.Bytes())
		}
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open stream to %s: %w", addr, err)
	}
	return s, raw.SetWriteDeadline(time.Time{})
}

func (p *Port) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx := p.ctx
	if strings.HasPrefix(addr.Name, FullPackets) {
		ctx = withFullPackets(ctx)
	}
	return p.dial(ctx, addr.Addr, timeout)
}
