// Package store keeps what an agent must never forget: who it is, and what it
// has voted and promised.
//
// A [Store] owns one data directory. A saved state survives any crash or power cut;
// a state that was being saved is there as a whole or not at all. Two agents never
// share a directory: Open takes flock(2).
//
//	disk, err := store.Open(dir, nil)
//	if err != nil { exit(err) }           // one line, ready for the user
//	defer disk.Close()
//	st, err := disk.Begin()               // once per process start, before anything is sent
//	for {
//		st := disk.State()
//		change st
//		if err := disk.Save(st); err != nil { stop: no vote, no goose, no answer }
//		send what st permits
//		disk.Settle()                 // no vote waits for it
//	}
//
// A tool that reads or changes the disk of a stopped agent (recover) uses Open,
// State, Save and Close, but not Begin, which counts a process start. Open repairs
// a damaged slot and makes a missing file; [Store.Fresh] reports that.
//
// # The file
//
// "state" is two slots of 32 KiB, A and B, whose blocks all exist from the
// beginning, so that no later save can find the disk full or needs a rename:
//
//	offset  size  field, big-endian
//	0       8     "DDGSTATE"
//	8       4     format version; the header's fields never move
//	12      4     length of the payload
//	16      8     sequence number, one more than the record before
//	24      8     CRC-64/ECMA of bytes 0 to 23 and the payload
//	32      -     the payload, see codec.go
//
// The order of writes makes it safe:
//
//	Save    needs both slots to hold record n. Writes n+1 to A, fdatasync. Acknowledged.
//	Settle  writes n+1 to B, fdatasync. From now on, damage to either slot loses nothing.
//	Open    takes the valid slot of the higher number, writes it once more where
//	        it was, fdatasync, then to the other slot, fdatasync.
//	        One of an earlier format is then written in this one, to both likewise.
//
// Only one slot is ever being written, while the other one is durable. If a power
// cut tears the write of A, B still has n, and n+1 was not acknowledged; if it tears
// B, A has n+1. A power cut may leave any mixture of old and new 512-byte sectors,
// but never half a sector, so it is safe to write the same bytes again. Open does so
// because it may read a page that never reached the disk: after a failed fsync Linux
// keeps the page and marks it clean. For the same reason no sync is repeated: after
// the first failure the Store refuses everything.
//
// "peers" has addresses and "history" the goose periods; no vote depends on them.
// "lock" has flock(2) and its holder's pid.
package store
