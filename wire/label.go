package wire

// labelByte opens a flock's label: behind the preface of a stream, and in the
// gossip of a former version.
const labelByte = 244

// FlockLabelOf gives the flock label that a stream names in clear behind its
// preface, or a former version's packet of gossip: it lets the agent say
// "ADDR is of flock Y" where it could not open anything. It tells
// false when there is none, or not all of it. The label is a stranger's: quote
// it before printing.
func FlockLabelOf(packet []byte) (string, bool) {
	if len(packet) < 2 || packet[0] != labelByte {
		return "", false
	}
	n := int(packet[1])
	if n == 0 || len(packet) < 2+n {
		return "", false
	}
	return string(packet[2 : 2+n]), true
}
