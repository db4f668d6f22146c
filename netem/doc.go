// Package netem decides what happens to each packet in a bad network.
//
// The rules have the words of Linux' tc-netem. Rules that are printed can be parsed
// again, so that a failure can be replayed by pasting them:
//
//	RULES := RULE (';' RULE)*                                    "" is none
//	RULE  := [out|in|both] PEER(,PEER)*: FAULT (' ' FAULT)*      default both
//	PEER  := * | name | address                                  no space between peers
//	FAULT := cut
//	       | loss P | loss gemodel P R [1-H [1-K]]
//	       | delay T [JITTER [CORRELATION]] [distribution uniform|normal]
//	       | duplicate P
//	       | reorder P
//	       | corrupt P
//	       | rate R
//
//	out b: cut                                nothing goes to b; b's packets still come
//	10.0.0.1:3825,::1: loss 30%               addresses, with or without a port
//	a: delay 0s; *: loss 5% delay 40ms 10ms   everyone but a, which is left alone
//
// The first rule that matches a direction and a peer decides; later ones are
// ignored. A name is [A-Za-z0-9._-]{1,63} that is no IP address. A colon and a
// space end the peers, so IPv6 addresses fit. An address without a port matches
// every port of that host. A peer whose name is not known yet matches only by "*"
// or by address.
//
//	cut        nothing passes. Stands alone in its rule.
//	loss       each packet is lost with probability P. With gemodel losses come
//	           in bursts (Gilbert and Elliott): a good link turns bad with
//	           probability P per packet and a bad one good with R; a bad link
//	           loses 1-H of its packets (default 100%), a good one 1-K (0%).
//	delay      T, give or take JITTER: uniform between T-JITTER and T+JITTER, or
//	           normal with JITTER as standard deviation; never below 0. With
//	           probability CORRELATION a packet has the jitter of the one before
//	           it, which correlates neighbours by just that much and leaves mean
//	           and spread alone. Jitter lets packets overtake each other.
//	duplicate  with probability P a packet comes twice, each with its own delay.
//	reorder    with probability P a packet skips the delay, and so overtakes those
//	           before it. Needs a delay in the same rule.
//	corrupt    with probability P one bit of the packet is flipped.
//	rate       the link carries R, through a bucket of 10 ms of R (at least 1500
//	           bytes). What would wait longer than [MaxQueue] is dropped.
//
// Percentages are written 30% or 0.5% (six decimals at most). Times are Go
// durations up to [MaxDelay]. Rates have tc's units: bit, kbit, mbit and gbit
// are bits per second, bps, kbps, mbps and gbps are BYTES per second, in powers
// of 1000, from 1kbit to 100gbit.
//
// An [Emulator] applies rules to packets. It has no clock and no goroutine,
// and draws only from its seed:
//
//	e := netem.New(seed)
//	rules, err := netem.Parse("b: loss 30% delay 10ms")
//	e.Set(rules)
//	for each datagram {
//		v := e.Packet(now, netem.Out, netem.Peer{Name: "b", Addr: addr}, len(datagram))
//		if v.Drop { continue }
//		after(v.Delay, send)
//	}
package netem
