// Package recovery gives a flock new voters, on the disks of its stopped agents, after a
// majority of the voters is lost for good (rule 26).
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

// Recovery is the planned recovery of one agent's disk (rule 26).
type Recovery struct {
	Name       string   // this agent's; "" if its disk does not know it
	Voters     []string // before, as --keep names them
	Keep       []string // after
	Generation uint64   // after
	Mark       uint64   // of the default election, before
	NextMark   uint64   // after
	// Done: this disk was already recovered with this list, and stays as it is.
	Done bool

	Next store.State // Commit saves this

	disk *store.Store
}

// MarkSpent says that the mark is past half its range, and that nobody has said what it
// shall be.
type MarkSpent struct{ Mark uint64 }

// Error names the mark.
func (e *MarkSpent) Error() string {
	return fmt.Sprintf("the mark is %d, of at most %d", e.Mark, uint64(election.MaxMark))
}

// spent tells whether somebody with the key may have used the mark up: also once more
// since a recovery that set it back, or because a voter was left out of that by mistake.
func spent(mark uint64) bool { return mark > election.MaxMark/2 }

// Open reads the data directory of a stopped agent and plans what keeping only the named
// voters means. keep has names or ids, with ":PRIORITY" unless it is the default. mark is
// the mark from then on; nil keeps it. Open changes nothing; the caller closes the result.
func Open(dir string, keep []string, mark *uint64) (*Recovery, error) {
	if _, err := os.Stat(filepath.Join(dir, store.StateFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data directory %s: no agent has kept its state here: name the right directory with --data-dir", dir)
	}
	disk, err := store.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	r, err := Plan(disk, keep, mark)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", dir, err), disk.Close())
	}
	return r, nil
}

// Plan is Open for a data directory that is already open.
func Plan(disk *store.Store, keep []string, mark *uint64) (*Recovery, error) {
	st := disk.State()
	rec, ok := st.Record()
	switch {
	case !ok || rec.FlockID.IsZero() || rec.Config.N == 0:
		return nil, errors.New("this agent knows no voters: run recover on an agent that was a voter")
	case st.Left:
		return nil, errors.New("this agent has left its flock: run recover on the survivors")
	case rec.Generation.Number >= election.MaxGeneration:
		return nil, fmt.Errorf("generation %d is the highest possible one", rec.Generation.Number)
	}
	names := disk.Names()
	config, err := keptVoters(keep, rec.Config, names)
	if err != nil {
		return nil, err
	}
	if !config.Has(st.ID) {
		return nil, fmt.Errorf("this agent, %s, is not in the --keep list: add it, or do not run recover on it (it will follow the others as an observer)", nameIn(names, st.ID))
	}
	r := &Recovery{
		Name: names[st.ID], Voters: votersIn(names, rec.Config), Keep: votersIn(names, config), Generation: rec.Generation.Number + 1,
		Mark: rec.Mark, NextMark: rec.Mark, disk: disk,
	}
	switch {
	case rec.RecoveredWith(config, mark) && (mark == nil || !spent(rec.Mark) || spent(*mark)):
		r.Done, r.Generation = true, rec.Generation.Number
		return r, nil
	case mark != nil:
		r.NextMark = *mark
	case spent(rec.Mark):
		return nil, &MarkSpent{rec.Mark}
	}
	r.Next = st.Recovered(config, mark)
	return r, nil
}

// Commit saves the recovery on the disk.
func (r *Recovery) Commit() error {
	if r.Done {
		return nil
	}
	if err := r.disk.Save(r.Next); err != nil {
		return err
	}
	return r.disk.Settle()
}

// Close unlocks the data directory.
func (r *Recovery) Close() error { return r.disk.Close() }

func nameIn(names map[election.ID]string, id election.ID) string {
	return cmp.Or(names[id], id.String())
}

// votersIn lists the voters of a config as --keep does: with their priorities, unless
// they are the default.
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

// keptVoters returns the config of the voters to keep: each word is NAME or
// NAME:PRIORITY, or has an id for the name. Only the list decides, so that every
// survivor makes the same config of the same list; the voters and names on this disk
// only say which agent a name means.
func keptVoters(keep []string, known election.Config, names map[election.ID]string) (c election.Config, err error) {
	if len(keep) == 0 || len(keep) > election.MaxVoters {
		return c, fmt.Errorf("--keep names %d voters: want 1 to %d", len(keep), election.MaxVoters)
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
			return c, fmt.Errorf("%s is named twice: name it once", name)
		}
		c = c.With(election.Voter{ID: id, Priority: uint8(priority)})
		leaders += int(min(priority, 1))
	}
	if leaders == 0 {
		return c, errors.New("only witnesses would stay, and a witness never leads: keep a voter with a priority above 0")
	}
	return c, nil
}

// idOfName returns the agent that a name means. If several disks had the name, it means
// the voter.
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
		return election.ID{}, fmt.Errorf("this disk knows no agent %q, only %s: use one of these names, or an id", name, strings.Join(slices.Compact(known), " "))
	}
	return election.ID{}, fmt.Errorf("%[2]d agents are called %[1]q: name one by its id: %[3]v", name, len(voters), voters)
}
