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

// errDisk is the error of a failing disk.
var errDisk = errors.New("input/output error")

// dataDir is the folder of an agent's state on its disk.
const dataDir = "/data"

// agent is a machine with a disk and settings.
type agent struct {
	sim    *Sim
	index  int
	name   string
	addr   netip.AddrPort
	clock  netem.Clock
	random netem.Random
	disk   *memfs.FS
	wiped  int    // how many disks it has lost
	ident  string // names this disk
	id     election.ID
	gone   bool            // it has left the flock for good
	rec    election.Record // of the default election, as it last showed it
	peers  []member.Peer   // the peers file

	emulator *netem.Emulator
	ruled    bool // fault rules are in force

	timing    schedule.Timing
	set       member.Settings // from its configuration
	holders   int             // sessions of each election that it contests, waiting for this agent to be the goose
	unwell    bool            // the check of its work fails (rule 28)
	syncTakes time.Duration   // how much longer each sync takes

	life      *life // nil: the process does not run
	lives     uint64
	stopped   bool // SIGSTOP, or asleep
	asleep    bool
	stoppedAt time.Duration
	armed     crashPoint
	effects   int               // the number of effects up to now, in all lives
	forge     func(*wire.Frame) // changes the next datagram that it reads
}

func (a *agent) peerAt(addr netip.AddrPort) netem.Peer { return netem.Peer{Name: a.name, Addr: addr} }

// runs reports whether the process answers.
func (a *agent) runs() bool { return a.life != nil && !a.stopped }

// newDisk gives the machine an empty disk, and so another identity.
func (a *agent) newDisk() {
	a.ident = a.name
	if a.wiped > 0 {
		a.ident = fmt.Sprintf("%s#%d", a.name, a.wiped+1)
	}
	a.disk = memfs.New(a.random.Uint64())
	a.id, a.rec, a.peers = election.ID{}, election.Record{}, nil
	a.gone = false
}

// open opens the disk, as a process does at its start.
func (a *agent) open() (*store.Store, error) {
	var disk store.FS = a.disk
	if wrap := a.sim.bugs.disk; wrap != nil {
		disk = wrap(disk)
	}
	return store.Open(dataDir, disk, store.WithRandom(&a.random))
}

// copyDisk overwrites another disk's state file, unnoticed by its store.
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

// crash ends the process at once. With power, the whole machine crashes: the disk loses
// what was not synced, and the clocks start again.
func (s *Sim) crash(a *agent, power bool) {
	if l := a.life; l != nil {
		a.life = nil
		var acting []*holder
		for _, at := range l.locals {
			at.emit(check.Event{Kind: check.Retracted})
			for _, h := range at.holders {
				if s.orphan(h, power) {
					acting = append(acting, h)
				}
			}
		}
		if !power {
			s.leaveWills(l, acting)
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
	a.clock.Reboot(s.now, a.random.Between(time.Second, time.Minute))
}

// diskFailed ends a process whose disk has failed. Its supervisor starts it again
// later.
func (s *Sim) diskFailed(a *agent) {
	s.stats.DiskFailures++
	s.note(a, "stops: its disk failed")
	s.crash(a, false)
	s.after(a.random.Between(time.Second, 20*time.Second), func() { s.start(a) })
}

// wipe loses the disk: the next process here is another agent.
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

// addrOf returns an address that no machine has had.
func addrOf(round, index int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(round >> 8), byte(round), byte(index%250 + 1)}), uint16(3825+index/250))
}

// stopFor stops the process, as SIGSTOP does, or puts the whole machine to sleep. The
// monotonic clock stops during a sleep.
func (s *Sim) stopFor(a *agent, d time.Duration, asleep bool) bool {
	if a.life == nil || a.stopped {
		return false
	}
	a.stopped, a.asleep, a.stoppedAt = true, asleep, s.now
	s.net.changed()
	if s.bugs.wakeWill && !asleep {
		s.leaveWills(a.life, nil)
	}
	a.life.after(d, func() { s.resume(a, d) })
	return true
}

// resume ends a pause or a sleep, unless it has ended already.
func (s *Sim) resume(a *agent, d time.Duration) {
	if !a.stopped || s.now-a.stoppedAt < d {
		return
	}
	if l := a.life; a.random.OneIn(4) {
		// The loop wakes up before it has read the datagrams in the socket.
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
		l.arm() // a timer that was due meanwhile fires when the disk is ready
	} else {
		l.turn(nil)
	}
}
