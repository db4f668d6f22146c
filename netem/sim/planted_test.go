//go:build !race

package sim

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
	"duckduckgoose/agent/store/memfs"
	"duckduckgoose/netem/schedule"
	"duckduckgoose/wire"
)

// long makes the tests take all the time they want.
var long = flag.Bool("sim.long", false, "more seeds, and planted faults hunted from seed 0 on")

// unsynced is a disk on which nothing is ever synced: what a power cut leaves
// is chance.
type unsynced struct{ store.FS }

func (u unsynced) OpenFile(name string, flag int, perm os.FileMode) (store.File, error) {
	f, err := u.FS.OpenFile(name, flag, perm)
	return unsyncedFile{f}, err
}

type unsyncedFile struct{ store.File }

func (unsyncedFile) Sync() error { return nil }

// hasty is a disk on which whatever is written to the first slot is written to
// the second one too, before either is synced.
type hasty struct{ store.FS }

func (h hasty) OpenFile(name string, flag int, perm os.FileMode) (store.File, error) {
	f, err := h.FS.OpenFile(name, flag, perm)
	return hastyFile{f, h.FS.(*memfs.FS).Size(name) / 2}, err
}

type hastyFile struct {
	store.File
	second int64 // where the second slot begins
}

func (h hastyFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := h.File.WriteAt(b, off)
	if err == nil && off == 0 && h.second > 0 {
		_, err = h.File.WriteAt(b, h.second)
	}
	return n, err
}

// TestPlantedFaultsAreFound plants one fault after the other in the code under
// test, and runs seeds until a promise breaks. Each must be found within its
// number of seeds; the run logs how many it took.
func TestPlantedFaultsAreFound(t *testing.T) {
	counted := map[*local][2]time.Duration{} // the lease as it should be, and as the ack has it
	newest := map[*life]uint64{}             // round sent
	node := func(l *life, number uint64) *election.Node { return l.member.Elections()[number].Node() }
	// again restarts a node with another record, which has nothing to wait for.
	again := func(l *life, n *election.Node, rec election.Record) {
		*n = election.New(election.Settings{
			ID: l.id, Life: l.meta.Life, Heartbeat: l.timing.Heartbeat, Lease: l.timing.Lease, Eps: l.timing.Lease / 50,
		}, rec, l.Now(), true)
	}
	writes := func(change func(old, rec *election.Record)) func(old, next store.State) store.State {
		return func(old, next store.State) store.State {
			next.Elections = slices.Clone(next.Elections)
			for i := range next.Elections {
				was := &election.Record{}
				if i < len(old.Elections) {
					was = &old.Elections[i].Record
				}
				change(was, &next.Elections[i].Record)
			}
			return next
		}
	}
	unordered := bugs{hears: func(l *life, number uint64, m *election.Message) {
		if number >= uint64(len(l.member.Elections())) || node(l, number) == nil {
			return
		}
		rec := node(l, number).Record()
		if (m.Kind == election.VoteRequest || m.Kind == election.PreVoteRequest) && m.ConfigID.Compare(rec.Config.ConfigID) < 0 {
			m.ConfigID = election.ConfigID{Term: rec.Config.Term, Version: rec.Config.Version + 1}
		}
	}}
	for _, tt := range []struct {
		name   string
		class  Class
		bugs   bugs
		only   string   // the scenario that is run, "": random schedules
		faults []string // of random schedules; nil: any
		marks  bool     // marks are raised; without, what seeds find does not hang on it
		others bool     // there are elections besides the default one
		from   uint64   // a seed shortly before the one that finds it; -sim.long begins at 0
	}{
		{name: "vote not persisted", class: Safety, faults: []string{"flap", "crash", "crash-at"}, bugs: bugs{saves: writes(func(_, rec *election.Record) { rec.Vote = election.ID{} })}},
		{name: "term not persisted", class: Safety, bugs: bugs{saves: writes(func(old, rec *election.Record) {
			if rec.Config.Term <= old.Term {
				rec.Term = old.Term
			}
		})}},
		{name: "config not persisted", class: Safety, bugs: bugs{saves: writes(func(old, rec *election.Record) {
			if old.Config.N > 0 {
				rec.Config = old.Config
			}
		})}},
		{name: "one of two elections not persisted", class: Safety, others: true, bugs: bugs{saves: func(old, next store.State) store.State {
			if len(old.Elections) == len(next.Elections) && len(next.Elections) > 1 {
				next.Elections = append(slices.Clone(next.Elections[:1]), old.Elections[1:]...)
			}
			return next
		}}},
		{name: "mark not persisted", class: Safety, marks: true, faults: []string{"crash", "crash-at", "partition"}, bugs: bugs{saves: writes(func(old, rec *election.Record) { rec.Mark = old.Mark })}},
		{name: "a longer lease is asked for before the longest promise is saved", class: Safety, only: "auto-lease-restarts", bugs: bugs{saves: writes(func(old, rec *election.Record) {
			if old.PromiseMax > 0 {
				rec.PromiseMax = old.PromiseMax
			}
		})}},
		{name: "marks not told with votes", class: Safety, marks: true, bugs: bugs{hears: func(_ *life, _ uint64, m *election.Message) {
			if m.Kind == election.VoteReply {
				m.Mark = 0
			}
		}}},
		{name: "any ack counted for the mark", class: Safety, marks: true, from: 190, bugs: bugs{hears: func(l *life, number uint64, m *election.Message) {
			if m.Kind == election.HeartbeatAck && number < uint64(len(l.member.Elections())) && node(l, number) != nil {
				rec := node(l, number).Record()
				m.Mark = rec.Mark
			}
		}}},
		{name: "sent before saved", class: Safety, bugs: bugs{late: afterSends}},
		{name: "granted before saved", class: Safety, bugs: bugs{late: afterGrants}},
		{name: "nothing synced", class: Safety, bugs: bugs{disk: func(d store.FS) store.FS { return unsynced{d} }}},
		{name: "second slot written before the first is synced", class: Safety, from: 300, others: true, faults: []string{"crash-at", "step-down", "partition"}, bugs: bugs{disk: func(d store.FS) store.FS { return hasty{d} }}},
		{name: "no rule 13", class: Safety, bugs: bugs{born: func(l *life) {
			for _, e := range l.member.Elections() {
				if n := e.Node(); n != nil {
					again(l, n, n.Record())
				}
			}
		}}},
		{name: "lease longer than the promise", class: Safety, bugs: bugs{grants: func(at *local, lease election.Lease) election.Lease {
			lease.Until += at.timing.Lease / 2
			return lease
		}}},
		{name: "lease counted from the ack", class: Safety, from: 15, bugs: bugs{grants: func(at *local, lease election.Lease) election.Lease {
			if c := counted[at]; lease.Until > c[0] {
				counted[at] = [2]time.Duration{lease.Until, at.Now() + at.timing.Lease*99/101 - at.timing.Lease/50}
			}
			lease.Until = counted[at][1]
			return lease
		}}},
		{name: "lease published before its acks", class: Safety, bugs: bugs{says: func(l *life, m *wire.Message) {
			if n := node(l, m.Election); m.Kind == election.Heartbeat && m.Promise > 0 && n.Role() == election.Leader && !n.HandingOver() {
				rec := n.Record()
				l.localOf(l.member.Elections()[m.Election].Name()).Grant(election.Lease{Token: rec.Token(), Until: l.Now() + l.timing.Lease*99/101}, false)
			}
		}}},
		{name: "drift beyond rho", class: Safety, faults: []string{"partition", "flap"}, bugs: bugs{drift: 15}},
		{name: "end of a lease published late", class: Safety, bugs: bugs{lag: 20 * time.Millisecond}},
		{name: "goose unbound to the deadlines it handed out", class: Safety, faults: []string{"hold", "pause", "crash", "stop", "partition"}, bugs: bugs{holders: func(member.Holders) member.Holders {
			return member.Holders{}
		}}},
		{name: "transfer that keeps the lease", class: Safety, bugs: bugs{keeps: func(at *local) bool {
			e := at.member.Named(at.name)
			return e != nil && e.Node() != nil && e.Node().HandingOver()
		}}},
		{name: "no rule 12: any vote counts as asked for", class: Safety, bugs: bugs{hears: func(l *life, number uint64, m *election.Message) {
			if node(l, number) == nil {
				return
			}
			p := node(l, number).Promise()
			if m.Kind == election.VoteRequest && m.Term == p.Term+1 || m.Kind == election.PreVoteRequest && m.NextTerm == p.Term+1 {
				m.TransferFrom, m.TransferTerm = p.To, p.Term
			}
		}}},
		{name: "two votes in a term", class: Safety, bugs: bugs{hears: func(l *life, number uint64, m *election.Message) {
			n := node(l, number)
			if n == nil {
				return
			}
			rec := n.Record()
			if m.Kind == election.VoteRequest && m.Term == rec.Term && rec.Vote != m.From && !rec.Vote.IsZero() && n.Role() == election.Follower {
				rec.Vote = election.ID{}
				again(l, n, rec)
			}
		}}},
		{name: "voter ignores the order of configs", class: Safety, from: 183, faults: []string{"leave", "partition", "crash", "wipe", "stop"}, bugs: unordered},
		{name: "voter ignores the order of configs, so a table is lost", class: Safety, from: 55, others: true, faults: []string{"partition", "crash", "stop"}, bugs: unordered},
		{name: "a token forgets its generation and term", class: Safety, bugs: bugs{grants: func(_ *local, lease election.Lease) election.Lease {
			lease.Token %= 4
			return lease
		}}},
		{name: "quorate by receipt", class: Liveness, only: "slow-goose", bugs: bugs{
			says: func(l *life, m *wire.Message) {
				if m.Kind == election.Heartbeat {
					newest[l] = m.Round
				}
			},
			hears: func(l *life, _ uint64, m *election.Message) { // an ack of long ago is taken for a path that is whole
				if m.Kind == election.HeartbeatAck && newest[l]-m.Round >= uint64(l.timing.Lease/l.timing.Heartbeat) {
					m.Round, m.Promise = newest[l], 0
				}
			},
		}},
		{name: "an unwell agent campaigns", class: Liveness, bugs: bugs{holders: func(h member.Holders) member.Holders {
			h.Health = member.Well
			return h
		}}},
		{name: "a goose that is unwell stays", class: Liveness, only: "unwell", bugs: bugs{holders: func(h member.Holders) member.Holders {
			if h.Working > 0 {
				h.Health = member.Well
			}
			return h
		}}},
		{name: "a last will waits for no holder", class: Safety, faults: []string{"crash", "hold"}, bugs: bugs{hastyWill: true}},
		{name: "a last will of a process that is only stopped", class: Safety, faults: []string{"pause", "crash"}, bugs: bugs{wakeWill: true}},
		{name: "promises from before their heartbeats arrived", class: Safety, faults: []string{"partition", "flap"}, bugs: bugs{early: true}},
		{name: "gave up with d > 0", class: Liveness, only: "resign-is-lost", bugs: bugs{says: func(l *life, m *wire.Message) {
			if m.Kind == election.Heartbeat && node(l, m.Election).HandingOver() {
				m.Promise = l.timing.Lease
			}
		}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.bugs.unraised = !tt.marks
			r, seeds := hunt(tt.only, tt.others, tt.bugs, tt.class, tt.from, schedule.Plan{Every: time.Second, For: 2 * time.Minute, Faults: tt.faults})
			require.NotNil(t, r, "not found in %d seeds", seeds)
			t.Logf("%s: found with %d seeds: %v", tt.name, seeds, r.Err)
		})
	}
}

// hunt runs seeds until one breaks a promise of the class.
func hunt(scenario string, others bool, b bugs, class Class, from uint64, p schedule.Plan) (*Result, uint64) {
	const most = 600
	if *long {
		from = 0
	}
	for seed := from; seed < from+most; seed++ {
		set := schedule.Drawn(seed, p)
		set.Heal = false
		set.Auto = nil // what seeds find does not hang on it
		if others {
			set.Elections = map[string][]string{"blue": nil, "green": nil}
		}
		for _, s := range schedule.Scenarios() {
			if s.Name == scenario {
				set = s.Settings
				set.Seed = seed
			}
		}
		if r := run(set, b, nil); r.Class() == class {
			return &r, seed + 1
		} else if r.Class() == Crashed {
			panic(fmt.Sprintf("seed %d: %v", seed, r.Err))
		}
	}
	return nil, most
}
