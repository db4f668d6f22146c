package agent

import (
	"context"
	"errors"
	"net/netip"
	"syscall"

	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/port"
)

// listen opens the port.
func (a *Agent) listen() (Transport, error) {
	net, faults, err := a.cfg.Listen(a.cfg.Bind)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &TakenError{What: "port", Value: a.cfg.Bind, Flag: "bind", Cause: err}
	}
	if err != nil {
		return nil, err
	}
	if faults != nil {
		a.faults.Store(&faults)
	}
	return net, nil
}

// openNetwork begins to receive, and to gossip.
func (l *life) openNetwork() (err error) {
	told, err := l.address.tells.Addr(context.Background(), l.net.LocalAddr(), l.firstToward())
	if err != nil {
		return err
	}
	l.port = port.Open(port.Options{
		Transport: l.net, Self: l.id, Label: l.cfg.Flock, Keys: &l.keys, Counts: l.counts, Quiet: l.strange,
		Datagram: l.inbox.Take, Advertise: told, OtherLabel: l.foreignLabel, OtherKeys: l.otherKeys, OtherVersion: l.otherVersion, Sender: l.peerBehind,
	})
	var known []gossip.Known
	for _, p := range l.disk.Peers() {
		if addr, err := netip.ParseAddrPort(p.Addr); err == nil && p.ID != l.id {
			known = append(known, gossip.Known{ID: p.ID, Name: p.Name, Addr: addr})
			l.member.Remember(p.ID, addr)
		}
	}
	l.savePeers(known)
	l.gossip, err = gossip.Start(gossip.Options{
		ID: l.id, Meta: l.member.Meta(), Join: l.cfg.Join, Known: known, Port: l.port, Log: l.log,
		Quiet: l.quiet, Problem: l.warnings.members.report, Save: l.savePeers, Counts: l.counts, Handlers: l.handlers(),
	})
	if err != nil {
		_ = l.port.Shutdown()
		return err
	}
	l.gossiping.Store(l.gossip)
	return nil
}
