package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/founding"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// Settings are what an agent is configured with. [Member.Reload] changes those
// that may change while it runs.
type Settings struct {
	Name      string
	Life      uint64           // random per life (rule 10)
	FlockID   election.FlockID // drawn by the host, for a flock that this agent founds alone
	Fresh     bool             // the disk was made at this start: it has promised nothing
	Keyless   bool             // senders can be forged: send nothing to unknown ids
	Heartbeat time.Duration
	Lease     time.Duration
	AutoLease bool     // Heartbeat and Lease are where a lead begins; then this agent chooses
	Expect    int      // found a flock together with Expect-1 others; 0: no
	Elections []string // contested besides the default one

	Joins        bool // it has --join, so it never founds alone
	Voters       int  // how many voters it keeps when it is the goose
	Priority     uint8
	Observer     bool
	Tags         map[string]string
	Version      string
	PreemptAfter time.Duration // 0: it does not preempt
	InView       int           // how many observers the goose keeps in view; 0: the usual number
	Wills        bool          // the host keeps a last will of each lead

	Freeze Freeze // known to this process from a former life
}

// Member is one agent. Only one goroutine may use it. Make it with [New].
type Member struct {
	set   Settings
	host  Host
	state store.State // as last saved
	id    election.ID
	seq   uint64 // of the last datagram sent

	elections []*Election // the default one first, then by number
	touched   []*Election // elections with work for act
	outbox    outbox
	seenAt    time.Duration // when configs shown by gossip were last looked at
	frame     wire.Frame    // the one being sent
	fx        election.Effects
	view      View // the one being published
	frameAt   time.Duration
	beats     bool  // the default goose's heartbeat has come or left, and not yet those of this agent's other leads
	broken    error // why nothing may be saved or sent any more
	unsettled bool  // the disk's second copy is behind
	restAt    time.Duration
	warmth    uint64        // see warm; nobody reads it
	lookAt    time.Duration // when look is next due
	lookAll   bool          // the next look is at calm elections, too
	lookedAt  time.Duration // when look last ran
	turnedAt  time.Duration // when the last turn began
	dueAt     time.Duration // when the host was told to wake up; 0: it was not, or time has jumped
	looks     uint64        // how often look ran

	addresses  addressBook
	peers      []Peer // gossip's view, sorted by id
	membersNow uint64 // grows with every change of peers
	alive      int
	sightings  sightings

	founder  *founding.Founder // nil unless --expect has still to be met
	founders []election.ID     // agents that do not know the config of the founding yet

	pilot      autopilot.Pilot
	preemption autopilot.Preemption
	heir       autopilot.Heir // as last decided, while this agent leads
	unfitAt    time.Duration  // when a goose that should not lead tries again to hand over

	table        table
	contestants  contestants
	relay        relay
	contestsHash uint64
	unevenSince  time.Duration // 0: the elections are spread evenly
	spreadAt     time.Duration // when the next may move

	freeze     Freeze
	leaveAsked map[election.ID]time.Duration
	forced     []forcedLeave
	leaving    *leaving
	stop       stopping
	handovers  int  // under way
	gone       bool // has left the flock
	told       told
	toldAt     time.Duration
	datagrams  []WillDatagram // of the will that is written now
	willsDue   bool           // the ways to the voters may have changed
}

// told is what gossip last said of this agent, as far as it changes at run time.
type told struct {
	work   bool
	health Health
	freeze FreezeNotice
	config ShownConfig
}

// New returns a member with the state on its disk. It has no effect before
// [Member.Begin].
func New(set Settings, host Host, st store.State) *Member {
	m := &Member{
		set: set, host: host, state: st, id: st.ID, freeze: set.Freeze,
		leaveAsked: map[election.ID]time.Duration{}, contestsHash: contestsHash(set.Elections),
	}
	m.addresses = addressBook{pages: map[election.ID]*page{}, keeps: m.IsKnown}
	m.outbox.heartbeat = set.Heartbeat
	m.elections = []*Election{{m: m, fx: new(election.Effects), local: host.Local(""), contested: true}}
	m.table.load(st)
	return m
}

// Begin takes part in the election from the disk, or looks for a flock.
func (m *Member) Begin() error {
	rec, known := m.state.Record()
	switch {
	case known && !m.state.Bound.IsZero():
		if rec.Config.Term == 0 && m.state.Founding.Coordinator == m.id && m.state.Founding.FlockID == rec.FlockID {
			m.founders = slices.Clone(m.state.Founding.Set) // it founded, and may not have told the others yet
		}
		return m.takePart(rec, false)
	case m.set.Expect > 0 || !m.state.Founding.FlockID.IsZero(): // an accepted founding binds, whatever the flags are now
		m.founder = founding.New(founding.Settings{Self: m.id, Expect: m.set.Expect, Voters: m.set.Voters}, m.state.Founding)
		m.tellGossip()
	case !m.set.Joins:
		return m.foundAlone()
	}
	m.Default().publish(m.host.Now())
	return nil
}

// takePart starts the default election from a record. The record is durable before this
// agent acts on it.
func (m *Member) takePart(rec election.Record, fresh bool) error {
	rec.PromiseMax = max(rec.PromiseMax, m.set.Lease)
	old, known := m.state.Record()
	back := known && old.FlockID == rec.FlockID
	if !known || old != rec || m.state.Bound != rec.FlockID || m.state.Left {
		st := m.state
		if known && old.FlockID != rec.FlockID {
			st.Elections = nil // another flock's
			m.table = table{}
		}
		st = st.WithRecord(rec)
		st.Bound, st.Left = rec.FlockID, false
		if err := m.save(st); err != nil {
			return err
		}
	}
	e := m.Default()
	e.node = new(election.New(m.nodeSettings(), rec, m.host.Now(), fresh))
	e.changed = true
	m.founder = nil
	m.host.Tell(Event{Kind: EventBound, FlockID: rec.FlockID, Term: rec.Term, Voters: int(rec.Config.N), Back: back})
	m.tellGossip()
	m.HoldersChanged(e)
	for i := range m.table.entries {
		if entry := &m.table.entries[i]; entry.Started {
			m.startElection(entry, false)
		}
	}
	m.meetPeers()
	e.step(election.Tick{})
	return nil
}

// nodeSettings are those of the nodes of all elections.
func (m *Member) nodeSettings() election.Settings {
	h := m.set.Heartbeat
	return election.Settings{
		ID: m.id, Life: m.set.Life, Heartbeat: h, Lease: m.set.Lease, Eps: m.set.Lease / 50, Seed: m.set.Life,
		Grid: 1 + time.Duration(m.set.Life%uint64(h)), // so that agents on one machine do not all send at once
	}
}

// Reload takes the settings that may change at run time.
func (m *Member) Reload(set Settings) {
	m.set.Joins, m.set.Voters, m.set.Priority, m.set.Observer = set.Joins, set.Voters, set.Priority, set.Observer
	m.set.Tags, m.set.PreemptAfter, m.set.Keyless = set.Tags, set.PreemptAfter, set.Keyless
	m.tellGossip()
	m.LookNow()
}

// Silence ends this agent's leases at once: it is about to die or to stop.
func (m *Member) Silence(cause Cause) { m.retractAll(cause) }

// node is the default election's; nil before this disk is bound to a flock.
func (m *Member) node() *election.Node { return m.elections[0].node }

// FlockID is the flock this disk is bound to; zero: none yet.
func (m *Member) FlockID() election.FlockID {
	if m.node() == nil {
		return election.FlockID{}
	}
	return m.node().Record().FlockID
}
