package agent

import (
	"crypto/rand"
	"encoding/binary"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/internal/warden"
	"duckduckgoose/agent/member"
	"duckduckgoose/wire"
)

// startWarden starts the process that sends this agent's last will, if the configuration
// asks for it. stop ends it: it sends nothing.
func (a *Agent) startWarden() (stop func(), err error) {
	if !a.cfg.Warden {
		return func() {}, nil
	}
	opts := warden.Options{Wait: a.cfg.Lease, Failed: func(err error) {
		if a.quiet.Due("warden") {
			a.cfg.Logger.Warn("the warden does not run: if this process dies, the others wait until its lease ends", "error", err)
		}
	}}
	if path := a.cfg.Socket + ".warden"; a.cfg.Socket != NoSocket && api.CheckSocketPath(path) == nil {
		opts.Socket = path
	}
	if a.warden, err = warden.Start(opts); err != nil {
		return nil, err
	}
	a.wardenSocket = opts.Socket
	return a.warden.Close, nil
}

// LeaveWill seals the datagrams and writes them to the memory that the warden reads.
func (h host) LeaveWill(election string, datagrams []member.WillDatagram) {
	l := h.l
	var sealed []warden.Message
	for i := range datagrams {
		body, err := wire.AppendFrame(l.body[:0], &datagrams[i].Frame)
		if err != nil {
			l.notSent(datagrams[i].To, err)
			continue
		}
		datagram, err := l.keys.Load().Seal(nil, body)
		if err != nil {
			l.notSent(datagrams[i].To, err)
			continue
		}
		sealed = append(sealed, warden.Message{To: datagrams[i].To, Datagram: datagram})
	}
	l.warden.Write(election, sealed)
}

// mindWill voids all wills while fault rules are in force: the warden does not know the
// rules, and would send what they drop.
func (l *life) mindWill() {
	if l.warden != nil {
		l.warden.Hush(l.netemRules() != "")
	}
}

// voidWills ends all wills of a life that ends.
func (l *life) voidWills() {
	if l.warden == nil {
		return
	}
	l.warden.Hush(true)
	for _, e := range l.member.Elections() {
		l.warden.Write(e.Name(), nil)
	}
}

// bind records the token that h works by; 0: none. mu is held. A holder outside this process
// outlives the agent, so the warden's list has it before it gets its deadline.
func (h *holder) bind(token uint64) {
	if w := h.agent.warden; w != nil && h.outside {
		switch {
		case token != 0 && h.mu.slot == nil:
			h.mu.slot = new(w.Hold(h.at.name, h.proof))
		case token == 0 && h.mu.slot != nil:
			w.Drop(*h.mu.slot)
			h.mu.slot = nil
		}
	}
	h.mu.token = token
}

// Warden returns where the guard of h reports that its work is gone; "": nowhere, so the
// lease runs to its end.
func (h *holder) Warden() (path string, proof uint64) { return h.agent.wardenSocket, h.proof }

// newProof draws what a guard says when its work is gone. Nobody else knows it.
func (a *Agent) newProof() uint64 {
	if a.wardenSocket == "" {
		return warden.NoProof
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return max(binary.NativeEndian.Uint64(b[:]), warden.NoProof+1)
}
