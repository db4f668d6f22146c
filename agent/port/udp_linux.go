//go:build !386 && !s390x

package port

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagrams sends and receives without telling Go's scheduler: the socket never
// blocks. Told, as package net tells it, the scheduler wakes its monitor thread
// at each call that follows a rest, and an idle agent rests between any two
// datagrams: that was a third of all the CPU it used.
type datagrams struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	v6   bool // the socket's family

	out struct { // guards what one call of send uses
		sync.Mutex
		call  func(fd uintptr) bool // made once, for none to be made at each call
		b     []byte
		to    unix.RawSockaddrInet6 // large enough for both families
		toLen uintptr
		errno syscall.Errno
	}
	in struct { // the reading goroutine's
		call    func(fd uintptr) bool
		b       []byte
		from    unix.RawSockaddrInet6
		fromLen uint32
		n       int
		errno   syscall.Errno
	}
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
	d.out.call, d.in.call = d.send, d.receive
	return d, nil
}

// writeTo sends one datagram.
func (d *datagrams) writeTo(b []byte, to netip.AddrPort) error {
	addr := to.Addr()
	if len(b) == 0 || addr.Zone() != "" || !d.v6 && !addr.Unmap().Is4() {
		_, err := d.conn.WriteToUDPAddrPort(b, to) // rare, or an error that net words well
		return err
	}
	out := &d.out
	out.Lock()
	out.to, out.b = unix.RawSockaddrInet6{}, b
	if d.v6 {
		out.to.Family, out.to.Addr, out.toLen = unix.AF_INET6, addr.As16(), unix.SizeofSockaddrInet6
		bigEndian(&out.to.Port, to.Port())
	} else {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&out.to))
		v4.Family, v4.Addr, out.toLen = unix.AF_INET, addr.Unmap().As4(), unix.SizeofSockaddrInet4
		bigEndian(&v4.Port, to.Port())
	}
	err := d.raw.Write(out.call)
	errno := out.errno
	out.b = nil
	out.Unlock()
	switch {
	case err != nil:
		return err
	case errno == unix.EAGAIN || errno == unix.EINTR:
		_, err := d.conn.WriteToUDPAddrPort(b, to) // which waits until there is room
		return err
	case errno != 0:
		return os.NewSyscallError("sendto", errno)
	}
	return nil
}

func (d *datagrams) send(fd uintptr) bool {
	out := &d.out
	_, _, out.errno = syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&out.b[0])), uintptr(len(out.b)), 0,
		uintptr(unsafe.Pointer(&out.to)), out.toLen)
	return true
}

// readFrom waits for one datagram. One goroutine reads.
func (d *datagrams) readFrom(b []byte) (int, netip.AddrPort, error) {
	in := &d.in
	in.b = b
	if err := d.raw.Read(in.call); err != nil {
		return 0, netip.AddrPort{}, err
	}
	if in.errno != 0 {
		return 0, netip.AddrPort{}, os.NewSyscallError("recvfrom", in.errno)
	}
	if in.from.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&in.from))
		return in.n, netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), fromBigEndian(&v4.Port)), nil
	}
	addr := netip.AddrFrom16(in.from.Addr).Unmap()
	if addr.Is6() && in.from.Scope_id != 0 {
		addr = addr.WithZone(zoneName(in.from.Scope_id))
	}
	return in.n, netip.AddrPortFrom(addr, fromBigEndian(&in.from.Port)), nil
}

// receive tells whether there was something; if not, it is called again when there is.
func (d *datagrams) receive(fd uintptr) bool {
	in := &d.in
	in.fromLen = unix.SizeofSockaddrInet6
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&in.b[0])), uintptr(len(in.b)), 0,
		uintptr(unsafe.Pointer(&in.from)), uintptr(unsafe.Pointer(&in.fromLen)))
	in.n, in.errno = int(n), errno
	return errno != unix.EAGAIN && errno != unix.EINTR
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
