// Package store keeps what an agent must never forget: who it is, and what it
// has voted and promised.
//
// A [Store] owns one data directory. What [Store.Save] has acknowledged is
// there after any crash or power cut; what it was saving at that moment is
// there whole or not at all. Two agents never share a directory: Open takes
// flock(2).
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
//		disk.Settle()                 // off the vote's path
//	}
//
// A tool that only looks, or that changes a stopped agent's disk (recover),
// uses Open, State, Save and Close, and leaves Begin to the agent: looking is
// no start. Open repairs a damaged slot, as it does for an agent, and makes a
// missing file; [Store.Fresh] tells so.
//
// # The file
//
// "state" is two slots of 32 KiB, A and B, whose blocks all exist from the
// beginning, so that no later save can find the disk full or needs a rename:
//
//	offset  size  field, big-endian
//	0       8     "DDGSTATE"
//	8       4     format version; what stands before and after it never moves
//	12      4     length of the payload
//	16      8     sequence number, one more than the record before
//	24      8     CRC-64/ECMA of bytes 0 to 23 and the payload
//	32      -     the payload, see codec.go
//
// The order of writing is the whole safety of it:
//
//	Save    needs both slots to hold record n. Writes n+1 to A, fdatasync. Acknowledged.
//	Settle  writes n+1 to B, fdatasync. At rest one bad slot, either, loses nothing.
//	Open    takes the valid slot of the higher number, writes it once more where
//	        it was, fdatasync, then to the other slot, fdatasync.
//
// Only one slot is ever in flight, while the other one is durable: a write of A
// torn by a power cut leaves n in B, which nobody was told has been replaced; a
// torn B leaves n+1 in A. A power cut may leave any mixture of old and new
// 512-byte sectors, but each of them whole, so writing the same bytes again
// harms nothing. Open does that because what it reads may be the kernel's
// memory of a write that never reached the disk: after a failed fsync Linux
// keeps the page and calls it clean. For the same reason no sync is ever asked
// twice: after the first failure the Store refuses everything.
//
// "peers" holds addresses and "history" the goose periods, as a help only; "lock" holds flock(2) and the pid of
// its holder.
package store
