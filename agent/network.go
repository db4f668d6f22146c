package agent

import (
	"errors"
	"net/netip"
	"syscall"

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
	l.port = port.Open(port.Options{
		Transport: l.net, Self: l.id, Label: l.cfg.Flock, Keys: &l.keys, Counts: l.counts, Quiet: l.quiet,
		Datagram: l.inbox.take, Advertise: l.cfg.Advertise, OtherLabel: l.foreignLabel, OtherKeys: l.otherKeys, Sender: l.peerBehind,
	})
	var known []knownPeer
	for _, p := range l.disk.Peers() {
		if addr, err := netip.ParseAddrPort(p.Addr); err == nil && p.ID != l.id {
			known = append(known, knownPeer{p.ID, p.Name, addr})
			l.member.Remember(p.ID, addr)
		}
	}
	l.savePeers(known)
	l.gossip, err = startGossip(gossipOptions{
		ID: l.id, Label: l.cfg.Flock, Keys: l.cfg.Keys, Meta: metaOf(l.member.Meta()), Join: l.cfg.Join, Known: known,
		At: l.port.Advertised, Quiet: l.quiet, Problem: l.reportProblem, Save: l.savePeers, Counts: l.counts, Topics: l.topics(),
	}, l.port, &gossipLog{log: l.log, quiet: l.quiet, over: l.port.Closed()})
	if err != nil {
		_ = l.port.Shutdown()
		return err
	}
	return nil
}
