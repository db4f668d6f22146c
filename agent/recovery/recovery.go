// Package recovery gives a flock that has lost its majority for good a new set of
// voters, on the disks of its stopped agents (rule 26).
package recovery

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

// Recovery is what a manual recovery would do to one agent's disk (rule 26).
type Recovery struct {
	Name       string   // this agent's; "" when its disk does not tell
	Voters     []string // before, as --keep names them
	Keep       []string // after
	Generation uint64   // after
	// Done: the disk has been recovered with this list already, and stays as it is.
	Done bool

	Next store.State // what Commit saves

	disk *store.Store
}

// Open reads the data directory of a stopped agent and works out what
// keeping only the named voters means. Agents are named by name or id, with
// ":PRIORITY" behind it unless that is the default. It changes nothing; the caller closes what it gets.
func Open(dir string, keep []string) (*Recovery, error) {
	if _, err := os.Stat(filepath.Join(dir, store.StateFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data directory %s: there is no agent's state in it: name the right one with --data-dir", dir)
	}
	disk, err := store.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	r, err := Plan(disk, keep)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", dir, err), disk.Close())
	}
	return r, nil
}

// Plan is Open for a data directory that is open already.
func Plan(disk *store.Store, keep []string) (*Recovery, error) {
	st := disk.State()
	rec, ok := st.Record()
	switch {
	case !ok || rec.FlockID.IsZero() || rec.Config.N == 0:
		return nil, errors.New("this agent knows no voters: run recover on an agent that was one")
	case st.Left:
		return nil, errors.New("this agent has left its flock: run recover on the survivors")
	case rec.Generation.Number >= election.MaxGeneration:
		return nil, fmt.Errorf("generation %d is the last there can be", rec.Generation.Number)
	}
	names := disk.Names()
	config, err := keptVoters(keep, rec.Config, names)
	if err != nil {
		return nil, err
	}
	if !config.Has(st.ID) {
		return nil, fmt.Errorf("this agent, %s, is not among those to keep: name it too, or leave its disk alone (it will follow the others as an observer)", nameIn(names, st.ID))
	}
	r := &Recovery{
		Name: names[st.ID], Voters: votersIn(names, rec.Config), Keep: votersIn(names, config), Generation: rec.Generation.Number + 1, disk: disk,
	}
	if rec.RecoveredWith(config) {
		r.Done, r.Generation = true, rec.Generation.Number
		return r, nil
	}
	r.Next = st.Recovered(config)
	return r, nil
}

// Commit makes the recovery durable.
func (r *Recovery) Commit() error {
	if r.Done {
		return nil
	}
	if err := r.disk.Save(r.Next); err != nil {
		return err
	}
	return r.disk.Settle()
}

// Close gives the data directory free.
func (r *Recovery) Close() error { return r.disk.Close() }

func nameIn(names map[election.ID]string, id election.ID) string {
	return cmp.Or(names[id], id.String())
}

// votersIn names the voters of a config as --keep does: with their priorities,
// unless they are the default.
func votersIn(names map[election.ID]string, c election.Config) (words []string) {
	for _, v := range c.Members() {
		word := nameIn(names, v.ID)
		if v.Priority != election.DefaultPriority {
			word += ":" + strconv.Itoa(int(v.Priority))
		}
		words = append(words, word)
	}
	return words
}

// keptVoters makes the config of those to keep: NAME or NAME:PRIORITY each, or
// an id in the name's place. The list alone decides, so that the same list makes
// the same config on every survivor; what this disk knows of voters and names
// only tells who is meant.
func keptVoters(keep []string, known election.Config, names map[election.ID]string) (c election.Config, err error) {
	if len(keep) == 0 || len(keep) > election.MaxVoters {
		return c, fmt.Errorf("%d voters to keep: want 1 to %d", len(keep), election.MaxVoters)
	}
	leaders := 0
	for _, word := range keep {
		name, number, given := strings.Cut(word, ":")
		priority := uint64(election.DefaultPriority)
		if given {
			if priority, err = strconv.ParseUint(number, 10, 8); err != nil {
				return c, fmt.Errorf("%q: want NAME:PRIORITY with a priority of 0 (a witness) to 255", word)
			}
		}
		id, err := election.ParseID(name)
		if err != nil {
			if id, err = idOfName(name, known, names); err != nil {
				return c, err
			}
		}
		if c.Has(id) {
			return c, fmt.Errorf("%s is named twice", name)
		}
		c = c.With(election.Voter{ID: id, Priority: uint8(priority)})
		leaders += int(min(priority, 1))
	}
	if leaders == 0 {
		return c, errors.New("only witnesses would be kept, and none of them may lead: keep a voter of a priority above 0")
	}
	return c, nil
}

// idOfName finds who is meant by a name. One that several disks have had means
// the one that is a voter.
func idOfName(name string, c election.Config, names map[election.ID]string) (election.ID, error) {
	var voters, others []election.ID
	var known []string
	for id, n := range names {
		known = append(known, n)
		switch {
		case n != name:
		case c.Has(id):
			voters = append(voters, id)
		default:
			others = append(others, id)
		}
	}
	if len(voters) == 0 {
		voters = others
	}
	switch len(voters) {
	case 1:
		return voters[0], nil
	case 0:
		slices.Sort(known)
		return election.ID{}, fmt.Errorf("no agent %q: this disk knows %s; an agent can also be named by its id", name, strings.Join(slices.Compact(known), " "))
	}
	return election.ID{}, fmt.Errorf("%q names %d agents: name the one meant by its id: %v", name, len(voters), voters)
}
