package seeds

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultPort is used where an address has no port.
const DefaultPort = 3825

const (
	srvPrefix  = "srv+"
	execPrefix = "exec:"
)

// Seed is one place to look for the flock.
type Seed struct {
	word string
	kind kind
	host string // the name to look up, or the command
	port uint16 // of a name
	addr netip.AddrPort
}

type kind uint8

const (
	literal kind = iota
	name
	records // DNS SRV
	command
)

// Parse reads HOST[:PORT], srv+NAME or exec:COMMAND, without looking anything up.
func Parse(word string) (Seed, error) {
	s := Seed{word: word}
	if cmd, ok := strings.CutPrefix(word, execPrefix); ok {
		if s.kind, s.host = command, strings.TrimSpace(cmd); s.host == "" {
			return s, errors.New("want a command that prints addresses, for example exec:/usr/local/bin/list-agents")
		}
		return s, nil
	}
	if srv, ok := strings.CutPrefix(word, srvPrefix); ok {
		if s.kind, s.host = records, srv; srv == "" || strings.ContainsAny(srv, ": ") {
			return s, errors.New("want the name of SRV records without a port, for example srv+_ddgoose._udp.example.com")
		}
		return s, nil
	}
	host, port, err := SplitHostPort(word)
	if err != nil {
		return s, err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		s.addr = netip.AddrPortFrom(addr.Unmap(), port)
		return s, Usable(s.addr.Addr())
	}
	if host == "" || strings.ContainsAny(host, ": \t\n") {
		return s, errors.New("want HOST or HOST:PORT")
	}
	s.kind, s.host, s.port = name, host, port
	return s, nil
}

// SplitHostPort splits HOST[:PORT]. An IPv6 address with a port needs brackets.
func SplitHostPort(word string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(word)
	if err != nil {
		return strings.Trim(word, "[]"), DefaultPort, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return host, 0, fmt.Errorf("port %q: want 1 to 65535", text)
	}
	return host, uint16(n), nil
}

// Usable returns why no agent can be called at an address; nil: one may be there.
func Usable(a netip.Addr) error {
	switch {
	case a.IsUnspecified():
		return errors.New("it stands for all addresses of a machine: want the address of one")
	case a.IsMulticast():
		return errors.New("it is a multicast address: want the address of one machine")
	case a.Is6() && (a.IsLinkLocalUnicast() || a.Zone() != ""):
		return errors.New("IPv6 link-local addresses and zones differ from machine to machine: want a global or unique local address (2000::/3, fd00::/8)")
	}
	return nil
}

// IsCommand reports whether the seed runs a program.
func (s *Seed) IsCommand() bool { return s.kind == command }

// Addr returns the address, if the word is one.
func (s *Seed) Addr() (netip.AddrPort, bool) { return s.addr, s.kind == literal }

// Host returns the host, or the name of the SRV records; "" for a command.
func (s *Seed) Host() string {
	switch s.kind {
	case literal:
		return s.addr.Addr().String()
	case command:
		return ""
	}
	return s.host
}

// Split splits a comma list and drops empty words. A command takes the rest of the list,
// since it may contain commas.
func Split(list string) (words []string) {
	for list != "" {
		word, rest := list, ""
		if !strings.HasPrefix(strings.TrimSpace(list), execPrefix) {
			word, rest, _ = strings.Cut(list, ",")
		}
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
		list = rest
	}
	return words
}
