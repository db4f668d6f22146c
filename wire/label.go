package wire

// labelByte opens memberlist's packets and streams when they carry a label.
const labelByte = 244

// FlockLabelOf gives the flock label that a memberlist packet, or the start of
// a stream behind its preface, names in clear, sealed or not: it lets the
// agent say "ADDR is of flock Y" where it could not open anything. It tells
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
