package port

import "encoding/binary"

// What the test of whole agents needs.
var BigMessages = bigMessages

const LabelByte = labelByte

// announce is a header of memberlist's: a map of fields to 32-bit numbers.
func announce(kind byte, fields ...any) []byte {
	b := []byte{kind, 0x80 | byte(len(fields)/2)}
	for i := 0; i < len(fields); i += 2 {
		name := fields[i].(string)
		b = append(append(b, 0xa0|byte(len(name))), name...)
		b = binary.BigEndian.AppendUint32(append(b, 0xce), uint32(fields[i+1].(int)))
	}
	return b
}

// bigMessages are what a hostile peer sends on a stream; zeros follow each.
var bigMessages = map[string][]byte{
	"the largest user message":              announce(gossipUser, "UserMsgLen", 20<<20),
	"a million members announced":           announce(gossipPushPull, "Nodes", 1<<20, "UserStateLen", 0, "Join", 0),
	"a state announced":                     announce(gossipPushPull, "Nodes", 0, "UserStateLen", 20<<20, "Join", 0),
	"as much as is allowed":                 announce(gossipUser, "UserMsgLen", 500<<10),
	"as many members as are allowed":        announce(gossipPushPull, "Nodes", 7000, "UserStateLen", 0, "Join", 0),
	"one member of an endless name":         append(announce(gossipPushPull, "Nodes", 1, "UserStateLen", 0, "Join", 0), 0x81, 0xa4, 'N', 'a', 'm', 'e', 0xdb, 0x7f, 0xff, 0xff, 0xff),
	"what seems to be sealed and endless":   {gossipEncrypt, 0x01, 0x40, 0, 0},
	"what seems to be sealed and is short":  {gossipEncrypt, 0, 0x0f, 0, 0},
	"something compressed":                  {gossipCompress, 0x82, 0xa4, 'A', 'l', 'g', 'o', 0, 0xa3, 'B', 'u', 'f', 0xc6, 0x01, 0x40, 0, 0},
	"nothing":                               nil,
	"no preface":                            nil,
	"a member of unknown and nested fields": append(announce(gossipPushPull, "Nodes", 1, "UserStateLen", 0, "Join", 0), 0x81, 0xa1, 'x', 0xdd, 0x7f, 0xff, 0xff, 0xff),
}
