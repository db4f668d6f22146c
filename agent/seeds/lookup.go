// Package seeds finds the addresses that --join names.
//
// [Parse] reads one word. A [List] looks many words up at the same time and
// keeps what it found, so a name server that is silent delays nothing else:
//
//	list := seeds.NewList(nil, background, wake)
//	list.Set([]string{"10.0.0.1", "srv+_ddgoose._udp.example.com"})
//	list.Look()    // again at each try
//	list.Addrs()   // what is known by now
package seeds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	lookupWait = 5 * time.Second
	// maxTargets bounds the SRV records that are followed, maxAddrs the
	// addresses of one seed.
	maxTargets = 64
	maxAddrs   = 1024
)

// Lookup returns the addresses of a seed, until ctx ends or the lookup times out. It may
// return addresses and an error.
func (s *Seed) Lookup(ctx context.Context, r *net.Resolver) (addrs []netip.AddrPort, err error) {
	switch s.kind {
	case literal:
		return []netip.AddrPort{s.addr}, nil
	case name:
		ctx, cancel := context.WithTimeout(ctx, lookupWait)
		defer cancel()
		addrs, err = hostAddrs(ctx, r, s.host, s.port)
	case records:
		ctx, cancel := context.WithTimeout(ctx, lookupWait)
		defer cancel()
		addrs, err = recordAddrs(ctx, r, s.host)
	case command:
		addrs, err = commandAddrs(ctx, r, s.host)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", s.word, err)
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare) // the order of a server's answers changes
	addrs = slices.Compact(addrs)
	return addrs[:min(len(addrs), maxAddrs)], err
}

func hostAddrs(ctx context.Context, r *net.Resolver, host string, port uint16) ([]netip.AddrPort, error) {
	ips, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	for _, ip := range ips {
		if ip = ip.Unmap(); Usable(ip) == nil {
			addrs = append(addrs, netip.AddrPortFrom(ip, port))
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address that other machines can call: %v", host, ips)
	}
	return addrs, nil
}

func recordAddrs(ctx context.Context, r *net.Resolver, host string) ([]netip.AddrPort, error) {
	_, found, err := r.LookupSRV(ctx, "", "", host)
	if len(found) == 0 {
		return nil, err
	}
	var targets []Seed
	for _, srv := range found[:min(len(found), maxTargets)] {
		targets = append(targets, Seed{kind: name, host: strings.TrimSuffix(srv.Target, "."), port: srv.Port})
	}
	return all(ctx, r, targets)
}

// all looks several hosts up at the same time. It returns the addresses in the order of
// the hosts, and the errors.
func all(ctx context.Context, r *net.Resolver, hosts []Seed) (addrs []netip.AddrPort, err error) {
	found, faults := make([][]netip.AddrPort, len(hosts)), make([]error, len(hosts))
	var looks sync.WaitGroup
	for i := range hosts {
		if hosts[i].kind == literal {
			found[i] = []netip.AddrPort{hosts[i].addr}
			continue
		}
		looks.Go(func() { found[i], faults[i] = hostAddrs(ctx, r, hosts[i].host, hosts[i].port) })
	}
	looks.Wait()
	for _, some := range found {
		addrs = append(addrs, some...)
	}
	return addrs, errors.Join(faults...)
}
