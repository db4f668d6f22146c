package netem

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// meant is a rule made at random, together with what it means, so that the
// parser, the matcher and the emulator are judged by something that is none of them.
type meant struct {
	text                string
	dirs                [2]bool // Out, In
	names               map[string]bool
	addrs               map[netip.AddrPort]bool
	hosts               map[netip.Addr]bool
	all                 bool
	cut                 bool
	loses, twice, flips int           // in percent
	least, most         time.Duration // of a delay
	queues              bool
}

func randomRule(rng *rand.Rand) meant {
	m := meant{names: map[string]bool{}, addrs: map[netip.AddrPort]bool{}, hosts: map[netip.Addr]bool{}}
	way := rng.IntN(3)
	m.dirs = [2]bool{way != 1, way != 0}
	var peers []string
	for range 1 + rng.IntN(3) {
		switch n := rng.IntN(4); rng.IntN(5) {
		case 0:
			m.all = true
			peers = append(peers, "*")
		case 1, 2:
			name := string(rune('a' + n))
			m.names[name] = true
			peers = append(peers, name)
		case 3:
			host := netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
			m.hosts[host] = true
			peers = append(peers, host.String())
		case 4:
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 3825)
			m.addrs[addr] = true
			peers = append(peers, addr.String())
		}
	}
	var faults []string
	if m.cut = rng.IntN(4) == 0; m.cut {
		faults = []string{"cut"}
	} else {
		percent := func(word string, to *int) {
			if *to = []int{0, 0, 30, 100}[rng.IntN(4)]; *to > 0 {
				faults = append(faults, fmt.Sprintf("%s %d%%", word, *to))
			}
		}
		percent("loss", &m.loses)
		percent("duplicate", &m.twice)
		percent("corrupt", &m.flips)
		if rng.IntN(2) == 0 {
			jitter := time.Duration(rng.IntN(50)) * time.Millisecond
			m.least, m.most = max(0, 40*time.Millisecond-jitter), 40*time.Millisecond+jitter
			faults = append(faults, fmt.Sprintf("delay 40ms %v 25%%", jitter))
			if rng.IntN(2) == 0 {
				m.least = 0
				faults = append(faults, "reorder 50%")
			}
		}
		if m.queues = rng.IntN(4) == 0 || len(faults) == 0; m.queues {
			m.most += MaxQueue
			faults = append(faults, "rate 1mbit")
		}
	}
	rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	m.text = []string{"out ", "in ", ""}[way] + strings.Join(peers, ",") + ": " + strings.Join(faults, " ")
	return m
}

func (m *meant) covers(dir Direction, p Peer) bool {
	return m.dirs[dir] && (m.all || m.names[p.Name] || m.addrs[p.Addr] || m.hosts[p.Addr.Addr()])
}

// TestEveryVerdictIsOneThatTheRulesAllow: whatever the rules are, the first
// that covers a packet decides its fate, alone; no other packet is touched.
func TestEveryVerdictIsOneThatTheRulesAllow(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var rules []meant
		var texts []string
		for range rng.IntN(5) {
			m := randomRule(rng)
			rules, texts = append(rules, m), append(texts, m.text)
		}
		text := strings.Join(texts, "; ")
		e := New(seed)
		e.Set(mustParse(t, text))
		now := time.Duration(0)
		for range 200 {
			n := rng.IntN(4)
			p := Peer{Name: string(rune('a' + rng.IntN(4))), Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), uint16(3825+rng.IntN(2)))}
			dir := Direction(rng.IntN(2))
			var m *meant
			for i := range rules {
				if rules[i].covers(dir, p) {
					m = &rules[i]
					break
				}
			}
			v := e.Packet(now, dir, p, 100)
			allowed := func(ok bool) {
				t.Helper()
				require.True(t, ok, "seed %d, rules %q, %v %+v: %+v", seed, text, dir, p, v)
			}
			allowed(e.Cut(dir, p) == (m != nil && m.cut))
			now += time.Duration(rng.IntN(10)) * time.Millisecond
			switch {
			case m == nil:
				allowed(v == (Verdict{}))
				continue
			case m.cut || m.loses == 100:
				allowed(v == (Verdict{Drop: true}))
				continue
			case v.Drop:
				allowed(m.loses > 0 || m.queues)
				allowed(v == (Verdict{Drop: true}))
				continue
			}
			allowed(v.Delay >= m.least && v.Delay <= m.most)
			allowed(!v.Duplicate || v.DuplicateDelay >= m.least && v.DuplicateDelay <= m.most)
			allowed(!v.Duplicate || m.twice > 0)
			allowed(v.Duplicate || m.twice < 100 || m.queues)
			allowed(!v.Corrupt || m.flips > 0 && v.Bit >= 0 && v.Bit < 800)
			allowed(v.Corrupt || m.flips < 100)
		}
	}
}
