package transport

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"time"

	"duckduckgoose/netem"
)

// expiry is the end of rules that have one.
type expiry struct {
	at    time.Duration
	timer *time.Timer
}

// Set replaces the rules for ttl; 0: for ever. When it returns, the streams that
// they cut are broken. On an error the old rules stay. The error of a closed
// transport is net.ErrClosed.
func (t *Transport) Set(rules string, ttl time.Duration) error {
	r, err := netem.Parse(rules)
	if err != nil {
		return err
	}
	if ttl < 0 {
		return fmt.Errorf("rules for %v: want a time above 0s, or 0s for ever", ttl)
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return fmt.Errorf("setting rules: %w", net.ErrClosed)
	}
	broken := t.install(r, ttl)
	t.mu.Unlock()
	abort(broken)
	return nil
}

// Clear ends all faults. Datagrams that are delayed already still arrive late.
func (t *Transport) Clear() { _ = t.Set("", 0) }

// install returns the streams that the new rules cut; mu is held.
func (t *Transport) install(r netem.Rules, ttl time.Duration) []*conn {
	t.stopExpiry()
	t.em.Set(r)
	if ttl > 0 && !r.IsZero() {
		x := &expiry{at: t.now() + ttl}
		t.wg.Add(1)
		x.timer = time.AfterFunc(ttl, func() { t.expire(x) })
		t.expiry = x
	}
	t.settle()
	close(t.changed)
	t.changed = make(chan struct{})
	return t.findCut()
}

func (t *Transport) expire(x *expiry) {
	defer t.wg.Done()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.expiry == x {
		t.expiry = nil
		t.install(netem.Rules{}, 0) // no rules cut nothing
	}
}

// stopExpiry stops the timer of expiry; mu is held.
func (t *Transport) stopExpiry() {
	if t.expiry != nil && t.expiry.timer.Stop() {
		t.wg.Done()
	}
	t.expiry = nil
}

// findCut marks the streams that the rules cut now, and returns them; mu is held.
func (t *Transport) findCut() []*conn {
	var broken []*conn
	for c := range t.conns {
		if t.em.CutEither(t.peer(c.name, c.addr)) {
			t.cutConn(c)
			broken = append(broken, c)
		}
	}
	return broken
}

// Show returns the rules in force ("" when none), the time until they expire
// (below 0: never), and the seed of the rules.
func (t *Transport) Show() (rules string, expiresIn time.Duration, seed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	expiresIn = -1
	if t.expiry != nil {
		expiresIn = max(0, t.expiry.at-t.now())
	}
	return t.em.Rules().String(), expiresIn, t.em.Seed()
}

// Unmatched returns the words of the rules in force that match none of these peers.
func (t *Transport) Unmatched(names map[netip.AddrPort]string) []string {
	var peers []netem.Peer
	for addr, name := range names {
		peers = append(peers, netem.Peer{Name: name, Addr: netem.Canonical(addr)})
	}
	t.mu.Lock()
	rules := t.em.Rules()
	t.mu.Unlock()
	return rules.Unmatched(peers)
}

// Learn sets the names of peers by address. It replaces all earlier ones. When it
// returns, streams are broken that a rule cuts by a name which is new.
func (t *Transport) Learn(names map[netip.AddrPort]string) {
	known := make(map[netip.AddrPort]string, len(names))
	for addr, name := range names {
		known[netem.Canonical(addr)] = name
	}
	t.mu.Lock()
	if maps.Equal(known, t.names) {
		t.mu.Unlock()
		return
	}
	t.names = known
	broken := t.findCut()
	t.mu.Unlock()
	abort(broken)
}

// Counters returns how often each fault struck since Wrap, by its name:
//
//	cut, lost            datagrams dropped by cut and loss
//	queue_dropped        datagrams dropped by rate: they would have waited too long
//	overflow_dropped     datagrams dropped because too many were delayed
//	delayed, duplicated, reordered, corrupted   datagrams
//	delayed_failed       delayed datagrams that could not be sent in the end
//	dials_cut, dials_lost, streams_cut, writes_held
func (t *Transport) Counters() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.em.Counters()
	return map[string]uint64{
		"cut":              c.Cut + t.count.lateCut,
		"lost":             c.Lost,
		"queue_dropped":    c.Queue,
		"overflow_dropped": t.count.overflow,
		"delayed":          c.Delayed,
		"duplicated":       c.Duplicated,
		"reordered":        c.Reordered,
		"corrupted":        c.Corrupted,
		"delayed_failed":   t.count.lateFailed,
		"dials_cut":        t.count.dialsCut,
		"dials_lost":       c.DialsLost,
		"streams_cut":      t.count.streamsCut,
		"writes_held":      c.WritesHeld,
	}
}
