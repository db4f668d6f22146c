//go:build !linux

package warden

import (
	"errors"
	"time"
)

// Keeper is the agent's side. Only Linux has a warden.
type Keeper struct{}

// Options are an agent's: see the Linux file.
type Options struct {
	Socket string
	Wait   time.Duration
	Failed func(error)
}

// Slot is a place in the list of holders.
type Slot int

// Start fails: only Linux has pidfds, which tell that a process is gone.
func Start(Options) (*Keeper, error) { return nil, errors.New("a warden needs Linux") }

// There is no Keeper, so nobody calls these.

// Problem says why no warden runs.
func (*Keeper) Problem() string { return "" }

// Close ends the warden.
func (*Keeper) Close() {}

// Write replaces the will of an election.
func (*Keeper) Write(string, []Message) {}

// Hush makes all wills void, or ends that.
func (*Keeper) Hush(bool) {}

// Hold puts a holder into the list.
func (*Keeper) Hold(string, uint64) Slot { return 0 }

// Drop takes a holder out of the list.
func (*Keeper) Drop(Slot) {}
