package port

import "context"

// maxSegment is the largest payload of a stream's packet. With the headers of IPv6 and
// TCP the packet has 1,260 bytes, and every IPv6 path carries 1,280. Some paths silently
// lose larger packets (a tunnel, and a firewall that drops ICMP): streams would hang
// while all datagrams pass.
const maxSegment = 1200

// FullPackets before a node's name makes its stream use packets as large as the system
// allows, to find out what a path loses.
const FullPackets = "full-packets "

type fullPackets struct{}

func withFullPackets(ctx context.Context) context.Context {
	return context.WithValue(ctx, fullPackets{}, true)
}

func hasFullPackets(ctx context.Context) bool { return ctx.Value(fullPackets{}) != nil }
