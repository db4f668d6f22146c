package fence

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
)

// Guard keeps the highest token in memory. Its zero value has seen none. A restart
// forgets it: use it where a restart empties the resource too, or call Check
// first with the last token that was seen.
type Guard struct {
	mu   sync.Mutex // guards seen
	seen seen
}

// Check stores the token; ErrStale if a higher one has been seen.
func (g *Guard) Check(token uint64) error { return g.CheckFlock("", token) }

// CheckFlock is Check with a flock id: ErrFlock if a token of another flock has been
// seen. An empty flockID is not compared.
func (g *Guard) CheckFlock(flockID string, token uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, err := g.seen.take(flockID, token, false)
	return err
}

// Highest returns the highest token seen; 0: none.
func (g *Guard) Highest() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen.token
}

// seen is the highest token, and its flock.
type seen struct {
	flockID string // "" until a token came with one
	token   uint64
}

var errNoToken = errors.New("0 is not a token: the first token of a flock is 1 (DDGOOSE_TOKEN)")

// MaxToken is the highest possible token: every JSON reader keeps it exact.
const MaxToken = 1<<53 - 1

// A token is generation*2^40 + term. A token further ahead of the highest seen than
// these steps counts as a mistake: accepting it would shut out every real goose.
const (
	termBits       = 40
	termLeap       = 1 << 20
	generationLeap = 1 << 6
)

// leaps reports whether a token is too far ahead of the highest seen. Each generation
// starts its terms at 0.
func (s *seen) leaps(token uint64) bool {
	generation, base := s.token>>termBits, s.token
	if token>>termBits > generation {
		base = token >> termBits << termBits
	}
	return s.token != 0 && (token>>termBits > generation+generationLeap || token > base+termLeap)
}

// take accepts a token, and reports whether the stored state changed. With force the
// token may be far ahead.
func (s *seen) take(flockID string, token uint64, force bool) (changed bool, err error) {
	switch {
	case token == 0:
		return false, errNoToken
	case token > MaxToken:
		return false, fmt.Errorf("%d is not a token: the highest possible one is %d", token, uint64(MaxToken))
	case flockID != "" && s.flockID != "" && flockID != s.flockID:
		return false, &FlockError{FlockID: flockID, Seen: s.flockID}
	case token < s.token:
		return false, &StaleError{Token: token, Highest: s.token}
	case s.leaps(token) && !force:
		return false, fmt.Errorf("token %d is refused: %w: the highest seen is %d", token, ErrImplausible, s.token)
	}
	next := seen{cmp.Or(flockID, s.flockID), token}
	changed = next != *s
	*s = next
	return changed, nil
}

var (
	// ErrStale: a newer goose is known. Errors that match it are [*StaleError].
	ErrStale = errors.New("a newer token has been seen")
	// ErrFlock: the token belongs to another flock than those seen before. Errors that
	// match it are [*FlockError].
	ErrFlock = errors.New("the token is of another flock")
	// ErrImplausible: the token is too far above the highest seen to come from a goose.
	// Accepting it would shut out every real goose.
	ErrImplausible = errors.New("too far ahead to come from a goose")
	// ErrCorrupt: the stored state cannot be read. Nothing passes until a person has
	// looked at it.
	ErrCorrupt = errors.New("the fence's state is corrupt")
)

// StaleError names both tokens.
type StaleError struct {
	Token   uint64 // refused
	Highest uint64 // the highest seen
}

// Error says which token was refused, and why.
func (e *StaleError) Error() string {
	return fmt.Sprintf("token %d is refused: token %d has been seen, so a newer goose is at work", e.Token, e.Highest)
}

// Is makes it match ErrStale.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

// FlockError names both flocks.
type FlockError struct {
	FlockID string // refused
	Seen    string // seen before
}

// Error says which flock was refused, and why.
func (e *FlockError) Error() string {
	return fmt.Sprintf("a token of flock %s is refused: this fence has seen tokens of flock %s, and tokens of two flocks cannot be compared", e.FlockID, e.Seen)
}

// Is makes it match ErrFlock.
func (e *FlockError) Is(target error) bool { return target == ErrFlock }
