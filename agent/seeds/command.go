package seeds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"duckduckgoose/agent/internal/shell"
)

const (
	// commandWait is how long a command may run; then its process group is killed.
	commandWait = 10 * time.Second
	// maxLooks bounds how many names of one output are looked up.
	maxLooks = 64
)

// commandAddrs runs a command and reads the addresses that it prints.
func commandAddrs(ctx context.Context, r *net.Resolver, line string) ([]netip.AddrPort, error) {
	output, err := shell.Run(ctx, line, commandWait)
	if err != nil {
		return nil, err
	}
	var hosts []Seed
	var faults []error
	names := 0
	for _, word := range strings.FieldsFunc(output, func(r rune) bool { return unicode.IsSpace(r) || r == ',' }) {
		s, err := Parse(word)
		if s.kind == name {
			names++
		}
		switch {
		case err == nil && (s.kind == records || s.kind == command):
			err = errors.New("want HOST or HOST:PORT")
		case names > maxLooks:
			err = fmt.Errorf("more than %d names in one output", maxLooks)
		}
		if err != nil {
			faults = append(faults[:min(len(faults), 2)], fmt.Errorf("it printed %.80q: %w", word, err))
			continue
		}
		hosts = append(hosts, s)
	}
	if len(hosts) == 0 && len(faults) == 0 {
		return nil, errors.New("it printed no address")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	addrs, err := all(ctx, r, hosts)
	return addrs, errors.Join(append(faults, err)...)
}
