// Package memfs is a disk in memory with faults: it loses what was not synced, tears
// writes, fails operations and flips bits. Tests and the simulator pass it to [store.Open].
//
//	disk := memfs.New(seed)
//	disk.CutAt(17)                       // power fails in the middle of operation 17
//	st, err := store.Open("/a", disk)    // ... use it until it fails with ErrPowerCut ...
//	disk.PowerOn()
//	st, err = store.Open("/a", disk)     // sees what a real disk might have kept
//
// What a crash leaves, as the seed decides:
//
//   - of data not synced: none, all, the first sectors, or any sectors; each of 512 bytes, whole
//   - of names not synced by SyncDir, those changed before some moment
//   - after a failed sync, the same; the data still reads as written and counts
//     as clean, as on Linux: another sync succeeds and saves nothing
//   - after a kill: everything, but no more of it is durable than before
//
// The same seed and calls give the same contents. Sectors of zeros cost no memory.
package memfs
