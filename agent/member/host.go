package member

import (
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// Host carries out what a [Member] asks for. Its methods are called on the member's
// goroutine and must not call the member, except for the answers of AskTable.
type Host interface {
	// Now reads the boot clock. An effect such as Save may take long, so the turn's start
	// is not the time of its last effect.
	Now() time.Duration

	// Save makes the state durable. After an error nothing may be sent or
	// granted any more, and the member stops.
	Save(store.State) error
	// Settle lets the disk bring its second copy up to date with the last Save.
	Settle() error
	// Send sends a datagram with as many of the frame's messages as fit, and returns how
	// many it took. A message that cannot be sent counts as taken. The datagram may wait
	// for Flush, so that several leave together.
	Send(netip.AddrPort, *wire.Frame) (taken int)
	// Flush sends all that waits. It is called at the end of each turn's sends.
	Flush()

	// LeaveWill keeps what is to be sent, in this order, once this process has died and all
	// holders of the election have ended their work; no datagrams: nothing. It replaces what
	// was kept for that election. The datagrams are valid during the call.
	LeaveWill(election string, datagrams []WillDatagram)

	// Local returns the programs on this machine that follow an election; "": the default
	// election.
	Local(name string) Local

	// TellGossip tells the other agents what has changed about this one.
	TellGossip(Meta)
	// MarkLeft records that a failed agent was removed for good.
	MarkLeft(election.ID)
	// AskTable asks another agent for its table of elections, and calls then once, like
	// any input: later, or at once if the agent cannot be asked. Nil: no answer.
	AskTable(to election.ID, q TableQuestion, then func(*TableAnswer))

	// Heard is called with each message of an election before it is handled.
	Heard(number uint64, msg *election.Message)
	// Tell reports an event, for logs and warnings.
	Tell(Event)
	// Count increments a counter.
	Count(counter string)
}

// Local is the programs on this machine that follow one election: readers, who see its
// state, and holders, whose work for the goose has deadlines.
type Local interface {
	// Retract tells readers that this agent is not the goose, and holders to
	// stop. Nothing may delay it.
	Retract(Cause)
	// Grant shows readers a lease and hands its deadline to the holders. While
	// the lead is ending, only holders that already work get it.
	Grant(lease election.Lease, ending bool)
	// Stop tells holders to stop their work while the lease still stands.
	Stop(Cause)
	// Publish shows readers the state of the election. It is called at every
	// step; v is valid during the call.
	Publish(now time.Duration, v *View)
	// Heard is Publish when nothing has changed except HeardAt and Lapses. It returns false
	// if readers must see all of the state.
	Heard(at time.Duration) bool
	// Close says that this agent's part in the election has ended.
	Close()
	// Holders returns what the holders do now.
	Holders() Holders
}

// Holders is the state of an election's holders.
type Holders struct {
	Attached int           // sessions, working or waiting
	Working  int           // handed a deadline, and not yet done
	Late     int           // still working past their deadline
	Silent   int           // working, without an answer for a whole lease: they cannot be stopped
	Grace    time.Duration // the longest that working ones may take to end when it is planned
	Health   Health        // of their work
}

// haveWork reports whether work for the goose runs or waits here. A holder that does not
// answer blocks others, so then this agent has no work.
func (h Holders) haveWork() bool { return h.Attached > 0 && h.Silent == 0 }

// Cause says why holders must stop.
type Cause uint8

// The causes.
const (
	LeaseLost Cause = iota
	SteppedDown
	Stopped
)

// View is what readers see of one election. Two views that differ only in HeardAt and
// Lapses look the same to readers.
type View struct {
	Role   election.Role
	Leased bool   // this agent's own lease is valid
	Token  uint64 // of its own lease; 0: none
	// The goose that this agent follows, if heard within a lease. Zero: none.
	Goose      election.ID
	GooseTerm  uint64
	GooseToken uint64
	HeardAt    time.Duration // when a heartbeat last named a goose
	Heard      time.Duration // the lease that it asked for: how long it names a goose
	// Pace is this agent's own, by which it leads. PaceWhy says why it was chosen; "": it is
	// fixed, or this agent does not lead.
	Pace    election.Pace
	PaceWhy string
	// Lapses is when time alone changes the view; 0: never.
	Lapses time.Duration
	// Record is what this agent knows of the election, without vote and promises.
	// Version grows whenever it changes.
	Record  *election.Record
	Version uint64
	Work    bool   // somebody here acts for the goose, or waits to
	Health  Health // of that work
	Members uint64 // grows with every change of the members
}
