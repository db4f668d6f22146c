package port

import "context"

// maxSegment is the most that a packet of a stream carries: with the headers of
// IPv6 and TCP 1,260 bytes, and every path of IPv6 carries 1,280. Some paths
// lose larger packets without a word (a tunnel, and a firewall that drops
// ICMP), and streams would hang while all datagrams pass.
const maxSegment = 1200

// FullPackets before the name of a node that memberlist calls has that stream
// take packets as large as the system makes them, to find out what a path loses.
const FullPackets = "full-packets "

type fullPackets struct{}

func withFullPackets(ctx context.Context) context.Context {
	return context.WithValue(ctx, fullPackets{}, true)
}

func hasFullPackets(ctx context.Context) bool { return ctx.Value(fullPackets{}) != nil }
