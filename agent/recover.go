package agent

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

// Recovery is what a manual recovery would do to one agent's disk (rule 26).
type Recovery struct {
	Name       string   // this agent's; "" when its disk does not tell
	Voters     []string // before
	Keep       []string // after
	Generation uint64   // after
	// Done: the disk has been recovered with this list already, and stays as it is.
	Done bool

	disk *store.Store
	next store.State
}

// PlanRecovery reads the data directory of a stopped agent and works out what
// keeping only the named voters means. Agents are named by name or id. It
// changes nothing; the caller closes what it gets.
func PlanRecovery(dir string, keep []string) (*Recovery, error) {
	if _, err := os.Stat(filepath.Join(dir, store.StateFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data directory %s: there is no agent's state in it: name the right one with --data-dir", dir)
	}
	disk, err := store.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	r, err := planRecovery(disk, keep)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", dir, err), disk.Close())
	}
	return r, nil
}

func planRecovery(disk *store.Store, keep []string) (*Recovery, error) {
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
	names := diskNames(disk)
	ids, err := keptIDs(keep, rec.Config, names)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(ids, st.ID) {
		return nil, fmt.Errorf("this agent, %s, is not among those to keep: name it too, or leave its disk alone (it will follow the others as an observer)", nameIn(names, st.ID))
	}
	r := &Recovery{Name: names[st.ID], Generation: rec.Generation.Number + 1, disk: disk}
	for _, v := range rec.Config.Members() {
		r.Voters = append(r.Voters, nameIn(names, v.ID))
	}
	config := election.Config{ConfigID: election.ConfigID{Version: 1}}
	for _, id := range ids {
		priority := uint8(DefaultPriority)
		if i := rec.Config.Index(id); i >= 0 {
			priority = rec.Config.Voters[i].Priority
		}
		config = config.With(election.Voter{ID: id, Priority: priority})
		r.Keep = append(r.Keep, nameIn(names, id))
	}
	if !slices.ContainsFunc(config.Members(), func(v election.Voter) bool { return v.Priority > 0 }) {
		return nil, errors.New("only witnesses would be kept, and none of them may lead: keep a voter of priority above 0")
	}
	// The same list on a flock that has grown since is another disaster, not the same one again.
	if tag := recoveryTag(rec.FlockID, rec.Generation.Number, ids); rec.Generation.Number > 0 && rec.Generation.Tag == tag && hasExactly(rec.Config, ids) {
		r.Done, r.Generation = true, rec.Generation.Number
		return r, nil
	}
	rec.Generation = election.Generation{Number: r.Generation, Tag: recoveryTag(rec.FlockID, r.Generation, ids)}
	rec.Config, rec.Term, rec.Vote = config, rec.Term+1, election.ID{}
	for _, e := range st.Elections {
		rec.PromiseMax = max(rec.PromiseMax, e.Record.PromiseMax) // what was promised in those that end here is kept too
	}
	r.next = st
	// Survivors may know different tables: all other elections are founded anew, in
	// the new generation, so their tokens grow.
	r.next.Elections = nil
	r.next = r.next.WithRecord(rec)
	return r, nil
}

// Commit makes the recovery durable.
func (r *Recovery) Commit() error {
	if r.Done {
		return nil
	}
	if err := r.disk.Save(r.next); err != nil {
		return err
	}
	return r.disk.Settle()
}

// Close gives the data directory free.
func (r *Recovery) Close() error { return r.disk.Close() }

// diskNames gives the names a disk knows, this agent's among them.
func diskNames(disk *store.Store) map[election.ID]string {
	names := map[election.ID]string{}
	for _, p := range disk.Peers() {
		names[p.ID] = p.Name
	}
	return names
}

func nameIn(names map[election.ID]string, id election.ID) string {
	if name := names[id]; name != "" {
		return name
	}
	return id.String()
}

// keptIDs finds who is meant, in order of id. A name that several disks have
// had means the one that is a voter.
func keptIDs(keep []string, c election.Config, names map[election.ID]string) (ids []election.ID, err error) {
	if len(keep) == 0 || len(keep) > election.MaxVoters {
		return nil, fmt.Errorf("%d voters to keep: want 1 to %d", len(keep), election.MaxVoters)
	}
	for _, word := range keep {
		id, err := election.ParseID(word)
		if err != nil {
			if id, err = idOfName(word, c, names); err != nil {
				return nil, err
			}
		}
		if slices.Contains(ids, id) {
			return nil, fmt.Errorf("%s is named twice", word)
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, election.ID.Compare)
	return ids, nil
}

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

// hasExactly tells whether these, in order of id, are all the voters.
func hasExactly(c election.Config, ids []election.ID) bool {
	return slices.EqualFunc(c.Members(), ids, func(v election.Voter, id election.ID) bool { return v.ID == id })
}

// recoveryTag tells two recoveries of one number apart: they kept different voters.
func recoveryTag(flock election.FlockID, number uint64, ids []election.ID) uint64 {
	h := sha256.New()
	h.Write(flock[:])
	h.Write(binary.BigEndian.AppendUint64(nil, number))
	for _, id := range ids {
		h.Write(id[:])
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
