package run

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	announceFirst = 5 // at the start of a goose period, within a second
	announceFast  = 200 * time.Millisecond
	announceSlow  = 10 * time.Second
)

// announcePause is how long to wait after the n-th announcement.
func announcePause(n int) time.Duration {
	if n < announceFirst {
		return announceFast
	}
	return announceSlow
}

// announcer tells the machines of a network which machine has an address now.
type announcer struct{ socket int }

func newAnnouncer() (announcer, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // of no protocol: it hears nothing
	if err != nil {
		return announcer{}, fmt.Errorf("open a packet socket: %w", err)
	}
	return announcer{fd}, nil
}

func (a announcer) close() { _ = unix.Close(a.socket) } // nothing is buffered

// announce sends one frame. A lost frame does no harm: more follow.
func (a announcer) announce(link int, from net.HardwareAddr, addr netip.Addr) {
	if len(from) != 6 {
		return // no Ethernet
	}
	frame := arpAnnouncement(from, addr)
	if addr.Is6() {
		frame = neighbourAdvertisement(from, addr)
	}
	_ = unix.Sendto(a.socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: link, Halen: 6})
}

// arpAnnouncement asks for the address that it says to have itself (RFC 5227), as arping -U does.
func arpAnnouncement(from net.HardwareAddr, addr netip.Addr) []byte {
	broadcast := bytes.Repeat([]byte{0xff}, 6)
	return slices.Concat[[]byte](
		broadcast, from, []byte{0x08, 0x06},
		[]byte{0, 1, 0x08, 0, 6, 4, 0, 1}, // Ethernet, IPv4, their lengths, request
		from, addr.AsSlice(), broadcast, addr.AsSlice(),
	)
}

// neighbourAdvertisement is an unsolicited one, which overrides what is known (RFC 4861).
func neighbourAdvertisement(from net.HardwareAddr, addr netip.Addr) []byte {
	all := netip.IPv6LinkLocalAllNodes().AsSlice()
	message := slices.Concat[[]byte](
		[]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, addr.AsSlice(), // override
		[]byte{2, 1}, from, // the target's link-layer address
	)
	length := []byte{0, byte(len(message))}
	sum := checksum(slices.Concat[[]byte](addr.AsSlice(), all, []byte{0, 0}, length, []byte{0, 0, 0, unix.IPPROTO_ICMPV6}, message))
	message[2], message[3] = byte(sum>>8), byte(sum)
	return slices.Concat[[]byte](
		[]byte{0x33, 0x33, 0, 0, 0, 1}, from, []byte{0x86, 0xdd},
		[]byte{0x60, 0, 0, 0}, length, []byte{unix.IPPROTO_ICMPV6, 255}, addr.AsSlice(), all, message,
	)
}

// checksum is that of the internet protocols, of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
