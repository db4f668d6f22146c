package fence

import (
	"errors"
	"fmt"
)

var (
	// ErrStale says that a newer goose has been heard of. Errors that match it
	// are [*StaleError].
	ErrStale = errors.New("a newer token has been seen")
	// ErrFlock says that the token is of another flock than the ones seen.
	// Errors that match it are [*FlockError].
	ErrFlock = errors.New("the token is of another flock")
	// ErrCorrupt says that what was seen cannot be read back: nothing may be
	// let through until a person has looked.
	ErrCorrupt = errors.New("the fence's state is corrupt")
)

// StaleError names both tokens.
type StaleError struct {
	Token   uint64 // the one refused
	Highest uint64 // the highest seen
}

// Error says what was refused, and why.
func (e *StaleError) Error() string {
	return fmt.Sprintf("token %d is refused: token %d has been seen, so a newer goose is at work", e.Token, e.Highest)
}

// Is makes it match ErrStale.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

// FlockError names both flocks.
type FlockError struct {
	FlockID string // the one refused
	Seen    string // the one seen
}

// Error says what was refused, and why.
func (e *FlockError) Error() string {
	return fmt.Sprintf("a token of flock %s is refused: this fence has seen tokens of flock %s, and tokens of two flocks cannot be compared", e.FlockID, e.Seen)
}

// Is makes it match ErrFlock.
func (e *FlockError) Is(target error) bool { return target == ErrFlock }
