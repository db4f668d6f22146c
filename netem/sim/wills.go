package sim

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/member"
	"duckduckgoose/netem/check"
)

// LeaveWill keeps the last will of an election, once a slow disk allows.
func (l *life) LeaveWill(election string, datagrams []member.WillDatagram) {
	if l.struck {
		return
	}
	datagrams = slices.Clone(datagrams)
	if now := l.sim.now; now < l.busyUntil {
		l.after(l.busyUntil-now, func() { l.wills[election] = datagrams })
	} else {
		l.wills[election] = datagrams
	}
	l.reaches("will")
}

// wardenPort is where last wills come from: no agent has it.
const wardenPort = 9

// willTries are when a warden sends a will, after it may: datagrams can be lost.
var willTries = []time.Duration{50 * time.Microsecond, 5 * time.Millisecond, 25 * time.Millisecond}

// leaveWills has the warden of a process that has died send its wills. acting are the
// holders that outlive it: a guard may report that its work is gone, or stay silent.
func (s *Sim) leaveWills(l *life, acting []*holder) {
	a := l.agent
	if a.ruled {
		return // its fault rules are in force
	}
	for _, at := range l.locals {
		datagrams := l.wills[at.name]
		if len(datagrams) == 0 {
			continue
		}
		held := slices.DeleteFunc(slices.Clone(acting), func(h *holder) bool { return h.at != at })
		wait := time.Duration(0)
		if len(held) > 0 && !s.bugs.hastyWill {
			if a.random.OneIn(2) {
				continue
			}
			wait = a.random.Below(a.timing.Lease / 2)
		}
		s.after(wait, func() {
			if !s.bugs.hastyWill {
				for _, h := range held {
					at.emit(check.Event{Kind: check.Drained, Holder: h.name})
				}
			}
			s.sendWill(a, datagrams)
		})
	}
}

// sendWill sends a will from a machine.
func (s *Sim) sendWill(a *agent, datagrams []member.WillDatagram) {
	for _, wait := range willTries {
		s.after(wait, func() {
			for i := range datagrams {
				f := s.net.flight()
				f.from, f.to, f.fromAddr = a, datagrams[i].To, netip.AddrPortFrom(a.addr.Addr(), wardenPort)
				f.carry(&datagrams[i].Frame, 1)
				s.stats.Datagrams++
				s.route(f)
			}
		})
	}
	s.note(a, "leaves its will")
}
