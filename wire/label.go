package wire

// labelByte starts a flock's label: after the preface of a stream, and in the gossip of
// a former version.
const labelByte = 244

// FlockLabelOf returns the flock label that a stream has in clear after its preface, or
// that a former version's packet of gossip has. An agent that cannot open anything can
// still say "ADDR is of flock Y". It returns false if there is no whole label. The
// label comes from a stranger: quote it before printing.
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
