//go:build !386 && !s390x

package port

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagrams sends and receives on a non-blocking socket without Go's network poller.
// With the poller, as in package net, the scheduler wakes its monitor thread at each
// call after a pause. An idle agent pauses between datagrams, and that took a third of
// all its CPU.
type datagrams struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	v6   bool // the socket's family

	out struct { // guards what one system call sends
		sync.Mutex
		call func(fd uintptr) bool // made once: a closure per call would allocate
		batch
		to     [batchSize]unix.RawSockaddrInet6 // each large enough for both families
		queued int
		sent   int
		errno  syscall.Errno
	}
	in struct { // used by the reading goroutine only
		batch
		from [batchSize]unix.RawSockaddrInet6
		buf  [batchSize][]byte
	}
}

// batchSize bounds what one system call sends or receives.
const batchSize = 4

// batch is the arguments of sendmmsg and recvmmsg.
type batch struct {
	messages [batchSize]message
	parts    [batchSize]unix.Iovec // one of each message
}

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

// set makes message i carry b, to or from an address of addrLen bytes.
func (c *batch) set(i int, b []byte, addr *unix.RawSockaddrInet6, addrLen uint32) {
	c.parts[i].Base = &b[0]
	c.parts[i].SetLen(len(b))
	h := &c.messages[i].header
	h.Name, h.Namelen, h.Iov = (*byte)(unsafe.Pointer(addr)), addrLen, &c.parts[i]
	h.SetIovlen(1)
}

func newDatagrams(conn *net.UDPConn) (*datagrams, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &datagrams{conn: conn, raw: raw}
	var family unix.Sockaddr
	if err := raw.Control(func(fd uintptr) { family, _ = unix.Getsockname(int(fd)) }); err != nil {
		return nil, err
	}
	_, d.v6 = family.(*unix.SockaddrInet6)
	d.out.call = d.send
	return d, nil
}

// writeTo sends one datagram.
func (d *datagrams) writeTo(b []byte, to netip.AddrPort) (err error) {
	d.writeAll([][]byte{b}, []netip.AddrPort{to}, func(_ int, failed error) { err = failed })
	return err
}

// writeAll sends datagrams, as many as possible by each system call. It calls failed
// for each that could not be sent.
func (d *datagrams) writeAll(b [][]byte, to []netip.AddrPort, failed func(i int, err error)) {
	for i := 0; i < len(b); {
		sent, err := d.writeSome(b[i:], to[i:])
		if sent == 0 && err == nil { // rare: it must wait, or the error text of package net is better
			_, err = d.conn.WriteToUDPAddrPort(b[i], to[i])
			sent = 1
		}
		if err != nil {
			failed(i, err)
			sent = 1
		}
		i += sent
	}
}

// writeSome makes one system call and returns how many datagrams it sent, from the
// first on. An error is about the first. 0 and no error: package net must send it.
func (d *datagrams) writeSome(b [][]byte, to []netip.AddrPort) (sent int, err error) {
	out := &d.out
	out.Lock()
	defer out.Unlock()
	out.queued, out.sent, out.errno = 0, 0, 0
	for i := range b[:min(len(b), batchSize)] {
		if !d.takes(b[i], to[i].Addr()) {
			break
		}
		out.set(i, b[i], &out.to[i], d.address(&out.to[i], to[i]))
		out.queued++
	}
	if out.queued == 0 {
		return 0, nil
	}
	err = d.raw.Write(out.call)
	for i := range out.queued {
		out.parts[i].Base = nil
	}
	switch {
	case err != nil:
		return 0, err
	case out.errno == 0:
		return out.sent, nil
	case out.errno == unix.EAGAIN || out.errno == unix.EINTR:
		return 0, nil // package net waits until there is room
	}
	return 0, os.NewSyscallError("sendmmsg", out.errno)
}

// takes reports whether writeSome may pass this datagram to the kernel.
func (d *datagrams) takes(b []byte, addr netip.Addr) bool {
	return len(b) > 0 && addr.Zone() == "" && (d.v6 || addr.Unmap().Is4())
}

// address writes an address in the kernel's form and returns its length.
func (d *datagrams) address(at *unix.RawSockaddrInet6, to netip.AddrPort) uint32 {
	*at = unix.RawSockaddrInet6{}
	if d.v6 {
		at.Family, at.Addr = unix.AF_INET6, to.Addr().As16()
		bigEndian(&at.Port, to.Port())
		return unix.SizeofSockaddrInet6
	}
	v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(at))
	v4.Family, v4.Addr = unix.AF_INET, to.Addr().Unmap().As4()
	bigEndian(&v4.Port, to.Port())
	return unix.SizeofSockaddrInet4
}

func (d *datagrams) send(fd uintptr) bool {
	out := &d.out
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&out.messages)), uintptr(out.queued), 0, 0, 0)
	if out.errno = errno; errno == 0 {
		out.sent = int(n)
	}
	return true
}

// receive hands over datagrams until the socket is closed, in the one goroutine that reads.
func (d *datagrams) receive(packet func(b []byte, from netip.AddrPort)) {
	in := &d.in
	for i := range in.buf {
		in.buf[i] = make([]byte, maxPacket)
	}
	call := func(fd uintptr) bool { return d.receiveSome(fd, packet) }
	for {
		if err := d.raw.Read(call); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// receiveSome makes one system call and reports whether there may be more datagrams. If
// not, the runtime calls it again when some arrive. None is missed in between, because
// no call of Read begins then.
func (d *datagrams) receiveSome(fd uintptr, packet func([]byte, netip.AddrPort)) (more bool) {
	in := &d.in
	for i, buf := range in.buf {
		in.set(i, buf, &in.from[i], unix.SizeofSockaddrInet6)
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.messages)), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return errno != unix.EAGAIN // else an ICMP error about somebody else's datagram
	}
	for i := range int(n) {
		packet(in.buf[i][:in.messages[i].length], sender(&in.from[i]))
	}
	return n == batchSize
}

// sender reads an address in the kernel's form.
func sender(from *unix.RawSockaddrInet6) netip.AddrPort {
	if from.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), fromBigEndian(&v4.Port))
	}
	addr := netip.AddrFrom16(from.Addr).Unmap()
	if addr.Is6() && from.Scope_id != 0 {
		addr = addr.WithZone(zoneName(from.Scope_id))
	}
	return netip.AddrPortFrom(addr, fromBigEndian(&from.Port))
}

// zoneName names a link by its interface, as addresses are written.
func zoneName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return ""
}

// bigEndian puts a port into a field that the kernel reads byte by byte.
func bigEndian(field *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(field))[:], port)
}

func fromBigEndian(field *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(field))[:])
}
