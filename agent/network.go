package agent

import (
	"errors"
	"net/netip"
	"syscall"
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
	l.mux = &mux{
		net: l.net, self: l.id, label: l.cfg.Flock, keys: &l.keys, counts: l.counts, quiet: l.quiet,
		ours: l.inbox.take, advertise: l.cfg.Advertise, foreign: l.foreignLabel, mismatch: l.otherKeys, peer: l.peerBehind,
	}
	l.mux.start()
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
		At: l.mux.Advertised, Quiet: l.quiet, Problem: l.reportProblem, Save: l.savePeers, Counts: l.counts, Topics: l.topics(),
	}, l.mux, &gossipLog{log: l.log, quiet: l.quiet, over: l.mux.ctx.Done()})
	if err != nil {
		_ = l.mux.Shutdown()
		return err
	}
	return nil
}
