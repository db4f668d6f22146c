package fence

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
)

// Guard keeps the highest token in memory. Its zero value has seen none. It
// forgets at a restart: use it where the resource itself starts anew then, or
// give it what was seen before by a first Check.
type Guard struct {
	mu   sync.Mutex // guards seen
	seen seen
}

// Check takes note of token; ErrStale when a higher one has been seen.
func (g *Guard) Check(token uint64) error { return g.CheckFlock("", token) }

// CheckFlock is Check for a token of this flock, too: ErrFlock when one of
// another has been seen. An empty flockID is not compared.
func (g *Guard) CheckFlock(flockID string, token uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, err := g.seen.take(flockID, token)
	return err
}

// Highest is the highest token seen; 0: none.
func (g *Guard) Highest() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen.token
}

// seen is what a fence keeps.
type seen struct {
	flockID string // "" until one was given
	token   uint64
}

var errNoToken = errors.New("token 0 is no token: a goose's first one is 1 (DDGOOSE_TOKEN)")

// take lets a token pass, and tells whether that changed what is kept.
func (s *seen) take(flockID string, token uint64) (changed bool, err error) {
	switch {
	case token == 0:
		return false, errNoToken
	case flockID != "" && s.flockID != "" && flockID != s.flockID:
		return false, &FlockError{FlockID: flockID, Seen: s.flockID}
	case token < s.token:
		return false, &StaleError{Token: token, Highest: s.token}
	}
	next := seen{cmp.Or(flockID, s.flockID), token}
	changed = next != *s
	*s = next
	return changed, nil
}

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
