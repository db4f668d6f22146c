// Package memfs is a disk in memory that forgets, tears, fails and decays on
// order: what the tests of the store and the simulator give to [store.Open].
//
//	disk := memfs.New(seed)
//	disk.CutAt(17)                       // the power goes in the middle of operation 17
//	st, err := store.Open("/a", disk)    // ... use it until it fails with ErrPowerCut ...
//	disk.PowerOn()
//	st, err = store.Open("/a", disk)     // sees what a real disk might have kept
//
// What a crash leaves, as the seed decides:
//
//   - of data not synced none, all, the first or any sectors of 512 bytes, each whole
//   - of names not synced by SyncDir those up to some moment
//   - after a failed sync a choice too; the data still reads as written and counts
//     as clean, as on Linux: another sync succeeds and saves nothing
//   - after a kill everything, but nothing more is durable
//
// The same seed and calls give the same contents. Sectors of zeros cost no memory.
package memfs
