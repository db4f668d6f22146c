package sim

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
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

// TestPlantedFaultsAreFound plants one fault after the other in the code under
// test, and runs seeds until a promise breaks. Each must be found within its
// number of seeds; the run logs how many it took.
func TestPlantedFaultsAreFound(t *testing.T) {
	counted := map[*life][2]time.Duration{} // the lease as it should be, and as the ack has it
	newest := map[*life]uint64{}            // round sent
	unordered := bugs{reads: func(l *life, m *election.Message) {
		rec := l.node.Record()
		if (m.Kind == election.VoteRequest || m.Kind == election.PreVoteRequest) && m.ConfigID.Compare(rec.Config.ConfigID) < 0 {
			m.ConfigID = election.ConfigID{Term: rec.Config.Term, Version: rec.Config.Version + 1}
		}
	}}
	isHeartbeat := func(m *election.Message) bool { return m.Kind == election.Heartbeat }
	for _, tt := range []struct {
		name   string
		class  Class
		bugs   bugs
		only   string   // the scenario that is run, "": random schedules
		faults []string // of random schedules; nil: any
		tables bool     // geese decide on tables
		from   uint64   // a seed shortly before the one that finds it; -sim.long begins at 0
	}{
		{name: "vote not persisted", class: Safety, from: 15, bugs: bugs{writes: func(_, rec election.Record) election.Record {
			rec.Vote = election.ID{}
			return rec
		}}},
		{name: "term not persisted", class: Safety, bugs: bugs{writes: func(old, rec election.Record) election.Record {
			if rec.Config.Term <= old.Term {
				rec.Term = old.Term
			}
			return rec
		}}},
		{name: "config not persisted", class: Safety, bugs: bugs{writes: func(old, rec election.Record) election.Record {
			if old.Config.N > 0 {
				rec.Config = old.Config
			}
			return rec
		}}},
		{name: "nothing synced", class: Safety, bugs: bugs{disk: func(d store.FS) store.FS { return unsynced{d} }}},
		{name: "no rule 13", class: Safety, bugs: bugs{born: func(bool) bool { return true }}},
		{name: "lease longer than the promise", class: Safety, bugs: bugs{posts: func(l *life, lease election.Lease) election.Lease {
			if lease.Token != 0 {
				lease.Until += l.timing.Lease / 2
			}
			return lease
		}}},
		{name: "lease counted from the ack", class: Safety, bugs: bugs{posts: func(l *life, lease election.Lease) election.Lease {
			if lease.Token == 0 {
				return lease
			}
			if c := counted[l]; lease.Until > c[0] {
				counted[l] = [2]time.Duration{lease.Until, l.now() + l.timing.Lease*99/101 - l.timing.Lease/50}
			}
			lease.Until = counted[l][1]
			return lease
		}}},
		{name: "drift beyond rho", class: Safety, faults: []string{"partition", "flap"}, bugs: bugs{drift: 15}},
		{name: "end of a lease published late", class: Safety, bugs: bugs{lag: 20 * time.Millisecond}},
		{name: "goose unbound to the deadlines it handed out", class: Safety, from: 55, faults: []string{"hold", "pause", "crash", "stop", "partition"}, bugs: bugs{deaf: func(in election.Input) bool {
			h, ok := in.(election.Holders)
			return ok && h.Attached
		}}},
		{name: "transfer that keeps the lease", class: Safety, from: 20, bugs: bugs{posts: func(l *life, lease election.Lease) election.Lease {
			if lease.Token == 0 && l.node.HandingOver() {
				return l.board
			}
			return lease
		}}},
		{name: "no rule 12: any vote counts as asked for", class: Safety, bugs: bugs{reads: func(l *life, m *election.Message) {
			p := l.node.Promise()
			if m.Kind == election.VoteRequest && m.Term == p.Term+1 {
				m.TransferFrom, m.TransferTerm = p.To, p.Term
			}
			if m.Kind == election.PreVoteRequest && m.NextTerm == p.Term+1 {
				m.TransferFrom, m.TransferTerm = p.To, p.Term
			}
		}}},
		{name: "two votes in a term", class: Safety, bugs: bugs{reads: func(l *life, m *election.Message) {
			rec := l.node.Record()
			if m.Kind == election.VoteRequest && m.Term == rec.Term && rec.Vote != m.From && !rec.Vote.IsZero() && l.node.Role() == election.Follower {
				rec.Vote = election.ID{}
				*l.node = election.New(election.Settings{
					ID: l.id, Life: l.number, Heartbeat: l.timing.Heartbeat, Lease: l.timing.Lease, Eps: l.timing.Lease / 50,
				}, rec, l.now(), true)
			}
		}}},
		{name: "voter ignores the order of configs", class: Safety, from: 160, faults: []string{"leave", "partition", "crash", "wipe", "stop"}, bugs: unordered},
		{name: "voter ignores the order of configs, so a table is lost", class: Safety, tables: true, faults: []string{"partition", "crash", "stop"}, bugs: unordered},
		{name: "a token forgets its generation and term", class: Safety, bugs: bugs{posts: func(_ *life, lease election.Lease) election.Lease {
			lease.Token %= 4
			return lease
		}}},
		{name: "quorate by receipt", class: Liveness, only: "slow-goose", bugs: bugs{
			says: func(l *life, m *election.Message) {
				if isHeartbeat(m) {
					newest[l] = m.Round
				}
			},
			reads: func(l *life, m *election.Message) { // an ack of long ago is taken for a path that is whole
				if m.Kind == election.HeartbeatAck && newest[l]-m.Round >= uint64(l.timing.Lease/l.timing.Heartbeat) {
					m.Round, m.Promise = newest[l], 0
				}
			},
		}},
		{name: "gave up with d > 0", class: Liveness, only: "resign-is-lost", bugs: bugs{says: func(l *life, m *election.Message) {
			if isHeartbeat(m) && l.node.HandingOver() {
				m.Promise = l.timing.Lease
			}
		}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if raceEnabled && tt.from > 0 {
				t.Skip("takes many seeds, and is run without the race detector")
			}
			r, seeds := hunt(tt.only, tt.tables, tt.bugs, tt.class, tt.from, Plan{Every: time.Second, For: 2 * time.Minute, Faults: tt.faults})
			require.NotNil(t, r, "not found in %d seeds", seeds)
			t.Logf("%s: found with %d seeds: %v", tt.name, seeds, r.Err)
		})
	}
}

// hunt runs seeds until one breaks a promise of the class.
func hunt(scenario string, tables bool, b bugs, class Class, from uint64, p Plan) (*Result, uint64) {
	const most = 600
	if *long {
		from = 0
	}
	for seed := from; seed < from+most; seed++ {
		set := Drawn(seed, p)
		set.Heal, set.Tables = false, tables
		for _, s := range Scenarios() {
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
