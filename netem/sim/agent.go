package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
	"duckduckgoose/agent/store/memfs"
	"duckduckgoose/netem"
	"duckduckgoose/netem/check"
	"duckduckgoose/netem/schedule"
	"duckduckgoose/wire"
)

// errDisk is what a failing disk says.
var errDisk = errors.New("input/output error")

// dataDir is where an agent's disk has its state.
const dataDir = "/data"

// agent is one machine with a disk, and what is configured on it.
type agent struct {
	sim   *Sim
	index int
	name  string
	addr  netip.AddrPort
	clock netem.Clock
	dice  netem.Dice
	disk  *memfs.FS
	wiped int    // disks lost so far
	ident string // names this disk
	id    election.ID
	gone  bool            // stopped for good: it has left the flock
	rec   election.Record // of the default election, as last shown
	peers []member.Peer   // the peers file

	emulator *netem.Emulator
	ruled    bool // fault rules stand

	timing    schedule.Timing
	set       member.Settings // as configured
	holders   int             // sessions that wait, in each election it contests, for this agent to be the goose
	unwell    bool            // the check of their work fails (rule 28)
	syncTakes time.Duration   // what a slow disk adds to each sync

	life      *life // nil: the process does not run
	lives     uint64
	stopped   bool // SIGSTOP, or asleep
	asleep    bool
	stoppedAt time.Duration
	armed     crashPoint
	effects   int               // so many so far, in all lives
	forge     func(*wire.Frame) // changes the next datagram that it reads
}

func (a *agent) peerAt(addr netip.AddrPort) netem.Peer { return netem.Peer{Name: a.name, Addr: addr} }

// runs tells whether the process answers.
func (a *agent) runs() bool { return a.life != nil && !a.stopped }

// newDisk puts an empty disk into the machine: another identity.
func (a *agent) newDisk() {
	a.ident = a.name
	if a.wiped > 0 {
		a.ident = fmt.Sprintf("%s#%d", a.name, a.wiped+1)
	}
	a.disk = memfs.New(a.dice.Uint64())
	a.id, a.rec, a.peers = election.ID{}, election.Record{}, nil
	a.gone = false
}

// open opens the disk as a starting process does.
func (a *agent) open() (*store.Store, error) {
	var disk store.FS = a.disk
	if wrap := a.sim.bugs.disk; wrap != nil {
		disk = wrap(disk)
	}
	return store.Open(dataDir, disk, store.WithRandom(&a.dice))
}

// copyDisk puts the state file in place of another disk's, behind the store's back.
func (a *agent) copyDisk(to *memfs.FS) error {
	a.disk.PowerOn()
	name := filepath.Join(dataDir, store.StateFile)
	from, err := a.disk.OpenFile(name, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	content := make([]byte, a.disk.Size(name))
	_, err = from.ReadAt(content, 0)
	return errors.Join(err, from.Close(), to.Damage(name, 0, content))
}

// start starts the process on its disk.
func (s *Sim) start(a *agent) {
	if a.life != nil || a.gone {
		return
	}
	a.disk.PowerOn()
	s.net.changed()
	s.note(a, "starts")
	disk, err := a.open()
	if err == nil {
		err = s.begin(a, disk)
	}
	switch {
	case err == nil:
	case errors.Is(err, errDisk):
		s.diskFailed(a)
	default:
		s.broke(fmt.Errorf("start %s: %w", a.ident, err))
	}
}

// crash ends the process at once. With power its machine goes too: what the
// disk was not asked to sync is lost, and the clocks begin anew.
func (s *Sim) crash(a *agent, power bool) {
	if l := a.life; l != nil {
		a.life = nil
		for _, at := range l.locals {
			at.emit(check.Event{Kind: check.Retracted})
			for _, h := range at.holders {
				s.orphan(h, power)
			}
		}
		for _, f := range l.inbox {
			s.net.done(f)
		}
	}
	a.stopped, a.asleep, a.armed = false, false, crashPoint{}
	a.disk.CutAt(0)
	s.net.changed()
	if !power {
		a.disk.Kill()
		return
	}
	a.disk.PowerCut()
	a.clock.Reboot(s.now, a.dice.Between(time.Second, time.Minute))
}

// diskFailed ends a process whose disk has failed; whoever watches over it
// tries again later.
func (s *Sim) diskFailed(a *agent) {
	s.stats.DiskFailures++
	s.note(a, "stops: its disk failed")
	s.crash(a, false)
	s.after(a.dice.Between(time.Second, 20*time.Second), func() { s.start(a) })
}

// wipe loses the disk: what starts here next is another agent.
func (s *Sim) wipe(a *agent) {
	s.crash(a, true)
	a.wiped++
	a.newDisk()
}

// move gives the machine another address.
func (s *Sim) move(a *agent) {
	delete(s.net.at, a.addr)
	s.moves++
	a.addr = addrOf(s.moves, a.index)
	s.net.at[a.addr] = a
	s.net.changed()
}

// addrOf gives an address that no machine has had.
func addrOf(round, index int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(round >> 8), byte(round), byte(index%250 + 1)}), uint16(3825+index/250))
}

// stopFor stops the process, as SIGSTOP does, or puts the whole machine to
// sleep, which its monotonic clock does not count.
func (s *Sim) stopFor(a *agent, d time.Duration, asleep bool) bool {
	if a.life == nil || a.stopped {
		return false
	}
	a.stopped, a.asleep, a.stoppedAt = true, asleep, s.now
	s.net.changed()
	a.life.after(d, func() { s.resume(a, d) })
	return true
}

// resume ends a pause or a sleep, unless it has ended before its time.
func (s *Sim) resume(a *agent, d time.Duration) {
	if !a.stopped || s.now-a.stoppedAt < d {
		return
	}
	if l := a.life; a.dice.OneIn(4) {
		// The loop wakes before the datagrams have been read off the socket.
		for i, f := range l.inbox {
			s.reach(a, time.Duration(i+1)*10*time.Microsecond, f)
		}
		l.inbox = nil
	}
	s.wakeUp(a)
}

// wakeUp ends a pause or a sleep now.
func (s *Sim) wakeUp(a *agent) {
	if a.asleep {
		a.clock.Slept += s.now - a.stoppedAt
	}
	a.stopped, a.asleep = false, false
	s.net.changed()
	if l := a.life; s.now < l.busyUntil {
		l.arm() // the timer that rang meanwhile comes when the disk is done
	} else {
		l.turn(nil)
	}
}
