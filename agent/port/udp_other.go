//go:build !linux || 386 || s390x

package port

import (
	"net"
	"net/netip"
)

// datagrams sends and receives by package net.
type datagrams struct{ conn *net.UDPConn }

func newDatagrams(conn *net.UDPConn) (*datagrams, error) { return &datagrams{conn}, nil }

func (d *datagrams) writeTo(b []byte, to netip.AddrPort) error {
	_, err := d.conn.WriteToUDPAddrPort(b, to)
	return err
}

func (d *datagrams) readFrom(b []byte) (int, netip.AddrPort, error) {
	n, from, err := d.conn.ReadFromUDPAddrPort(b)
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}
