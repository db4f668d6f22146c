//go:build !linux || 386 || s390x

package port

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// datagrams sends and receives by package net.
type datagrams struct{ conn *net.UDPConn }

func newDatagrams(conn *net.UDPConn) (*datagrams, error) { return &datagrams{conn}, nil }

func (d *datagrams) writeTo(b []byte, to netip.AddrPort) error {
	_, err := d.conn.WriteToUDPAddrPort(b, to)
	return err
}

func (d *datagrams) writeAll(b [][]byte, to []netip.AddrPort, failed func(i int, err error)) {
	for i := range b {
		if err := d.writeTo(b[i], to[i]); err != nil {
			failed(i, err)
		}
	}
}

// receive hands over datagrams until endReceiving, in the one goroutine that reads.
func (d *datagrams) receive(packet func(b []byte, from netip.AddrPort)) {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := d.conn.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil: // else an ICMP error about somebody else's datagram
			packet(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
	}
}

func (d *datagrams) endReceiving() { _ = d.conn.Close() }

func (d *datagrams) close() error { return nil }

func (d *datagrams) alarm() (rings <-chan time.Time, set func(time.Duration)) { return nil, nil }
