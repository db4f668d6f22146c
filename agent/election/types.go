package election

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

const (
	// MaxVoters bounds a config: more voters make elections slower, not safer.
	MaxVoters = 7
	// DefaultPriority is the priority of an agent that names none.
	DefaultPriority = 100
	// MaxPromise bounds what a voter promises at once, whatever it is asked (rule 11).
	MaxPromise = 10 * time.Second
	// MaxTerm bounds terms, so that a token (generation*2^40 + term) keeps its order (rule 26).
	MaxTerm = 1<<40 - 1
	// MaxGeneration bounds generations: tokens fit in the 53 bits that every JSON reader keeps exact.
	MaxGeneration = 1<<13 - 1
	// termLeap and generationLeap bound how far above its own a node follows terms and
	// versions, or generations, past half their range (rule 26).
	termLeap, generationLeap = 1 << 20, 1 << 6
)

// Spent names a number of r past half its range: only somebody with the key can cause
// that (rule 26). "": none.
func (r *Record) Spent() string {
	switch {
	case r.Generation.Number > MaxGeneration/2:
		return fmt.Sprintf("generation %d of at most %d", r.Generation.Number, uint64(MaxGeneration))
	case r.Term > MaxTerm/2:
		return fmt.Sprintf("term %d of at most %d", r.Term, uint64(MaxTerm))
	case r.Config.Version > MaxTerm/2:
		return fmt.Sprintf("config version %d of at most %d", r.Config.Version, uint64(MaxTerm))
	}
	return ""
}

// ID names an agent's disk: 16 random bytes, made once. A lost disk is a new ID (rule 10).
type ID [16]byte

// String gives the ID as 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the ID names nobody.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs bytewise.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// ParseID reads what [ID.String] prints.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("id %q: want 32 hexadecimal digits", s)
	}
	copy(id[:], b)
	return id, nil
}

// FlockID names a founded flock; zero before founding.
type FlockID [16]byte

// String gives the FlockID as 32 hexadecimal digits, "" when zero.
func (f FlockID) String() string {
	if f.IsZero() {
		return ""
	}
	return hex.EncodeToString(f[:])
}

// IsZero tells whether there is no flock yet.
func (f FlockID) IsZero() bool { return f == FlockID{} }

// Generation counts manual recoveries of a flock. One number with two tags: two
// recoveries that did not know each other, and so two flocks (rule 26).
type Generation struct {
	Number uint64
	Tag    uint64 // hash of flock, number, voters and priorities; 0 at founding
}

// ConfigID orders the configs of one generation (rule 1).
type ConfigID struct {
	Term    uint64
	Version uint64
}

// Compare orders by term, then version.
func (c ConfigID) Compare(other ConfigID) int {
	return cmp.Or(cmp.Compare(c.Term, other.Term), cmp.Compare(c.Version, other.Version))
}

// Voter is a member of a config.
type Voter struct {
	ID       ID
	Priority uint8 // 0: a witness, which votes and never leads
}

// Digest identifies a table of elections. The rules carry it and do not read it.
type Digest [16]byte

// String gives the Digest as 32 hexadecimal digits, "" when zero.
func (d Digest) String() string { return FlockID(d).String() }

// IsZero tells whether there is no table.
func (d Digest) IsZero() bool { return d == Digest{} }

// Config is a set of voters. Voters[:N] are sorted by ID; the rest is zero, so that configs compare with ==.
type Config struct {
	ConfigID
	N      uint8
	Voters [MaxVoters]Voter
	Table  Digest // zero: none
}

// Members gives the voters, sorted by ID.
func (c *Config) Members() []Voter { return c.Voters[:c.N] }

// Index gives the place of id among the voters, -1 when it is none.
func (c *Config) Index(id ID) int {
	return slices.IndexFunc(c.Voters[:c.N], func(v Voter) bool { return v.ID == id })
}

// Has tells whether id is a voter.
func (c *Config) Has(id ID) bool { return c.Index(id) >= 0 }

// Quorum is the number of voters in a majority.
func (c *Config) Quorum() int { return int(c.N)/2 + 1 }

// With gives the config with v added or its priority changed, and the same ConfigID.
// It panics when there is no room.
func (c Config) With(v Voter) Config {
	if i := c.Index(v.ID); i >= 0 {
		c.Voters[i].Priority = v.Priority
		return c
	}
	if int(c.N) == MaxVoters {
		panic(fmt.Sprintf("election: config of %d voters has no room for %s", c.N, v.ID))
	}
	c.Voters[c.N] = v
	c.N++
	slices.SortFunc(c.Members(), func(a, b Voter) int { return a.ID.Compare(b.ID) })
	return c
}

// Without gives the config with id removed, and the same ConfigID.
func (c Config) Without(id ID) Config {
	c.N = uint8(len(slices.DeleteFunc(c.Members(), func(v Voter) bool { return v.ID == id }))) // it clears the rest
	return c
}

// Valid returns what is wrong with a config from outside.
func (c *Config) Valid() error {
	if c.N > MaxVoters {
		return fmt.Errorf("config of %d voters: at most %d", c.N, MaxVoters)
	}
	for i := range c.Voters {
		switch v := c.Voters[i]; {
		case i >= int(c.N) && v != Voter{}:
			return fmt.Errorf("config of %d voters names one more", c.N)
		case i < int(c.N) && v.ID.IsZero():
			return fmt.Errorf("config names a voter without an id")
		case i > 0 && i < int(c.N) && c.Voters[i-1].ID.Compare(v.ID) >= 0:
			return fmt.Errorf("config's voters are not sorted by id")
		}
	}
	if c.Term > MaxTerm {
		return fmt.Errorf("config of term %d: at most %d", c.Term, uint64(MaxTerm))
	}
	return nil
}

// Record is what a node must never forget: durable BEFORE a message that shows it leaves.
type Record struct {
	FlockID    FlockID
	Generation Generation
	Term       uint64
	Vote       ID // zero: none in this term
	Config     Config
	// PromiseMax is at least every promise that may still run (rule 13).
	PromiseMax time.Duration
	// Mark is a number that programs raise through the goose, at most MaxMark; it only
	// grows (rule 29).
	Mark uint64
}

// Token is the fencing token: it grows with the generation, then with the term (P3).
func (r *Record) Token() uint64 { return r.Generation.Number<<40 + r.Term }
