// Package sim runs many agents under one virtual clock: the real election,
// store, autopilot and founding, over a seeded network and disks that forget
// what was not synced. The same settings give the same run, byte for byte.
package sim
