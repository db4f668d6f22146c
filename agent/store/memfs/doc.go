// Package memfs is a disk in memory that forgets, tears, fails and decays on
// order: what the tests of the store and the simulator give to [store.Open].
//
//	disk := memfs.New(seed)
//	disk.CutAt(17)                       // the power goes in the middle of operation 17
//	st, err := store.Open("/a", disk)    // ... use it until it fails with ErrPowerCut ...
//	disk.PowerOn()
//	st, err = store.Open("/a", disk)     // sees what a real disk might have kept
//
// What a crash may leave:
//
//   - Data that was not synced is kept by sectors of 512 bytes, each whole: none
//     of it, all, what came first, or any choice. The seed decides.
//   - Names that were made or replaced and not synced by SyncDir are kept up to
//     some moment: later ones are forgotten.
//   - A sync that fails keeps a choice too. After it the data still reads as
//     written and counts as clean, as on Linux: another sync succeeds and
//     brings nothing to the disk.
//   - Killing the process alone forgets nothing, but nothing has become durable
//     by it either.
//
// The same seed and the same calls give the same contents. Everything on the
// way costs memory only for sectors that are not all zeros, so that hundreds
// of disks are cheap.
package memfs
