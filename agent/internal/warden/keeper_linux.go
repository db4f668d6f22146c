package warden

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Keeper is the agent's side: it writes wills and keeps a warden running.
type Keeper struct {
	opts   Options
	file   *os.File // the memory
	self   *os.File // pidfd of this process
	reads  *os.File // the warden's socket
	mem    []byte
	failed atomic.Pointer[string]
	closed chan struct{}
	ended  chan struct{} // closed when no warden runs and none will start

	mu struct { // guards the memory, except the slots in use
		sync.Mutex
		messages map[string][]Message
		hushed   bool
		active   int
		slots    [maxSlots]bool
	}
}

// Options are an agent's.
type Options struct {
	// Socket is where guards report that their work is gone; "": nowhere.
	Socket string
	// Wait is how long the warden waits for them: no deadline may be later than that.
	Wait time.Duration
	// Failed is called with why the warden does not run, for a log. It is started again.
	Failed func(error)
}

// Start makes the shared memory and starts a warden. No will is in force before Hush(false).
func Start(opts Options) (k *Keeper, err error) {
	k = &Keeper{opts: opts, closed: make(chan struct{}), ended: make(chan struct{})}
	k.mu.messages, k.mu.hushed = map[string][]Message{}, true
	defer func() {
		if err != nil {
			k.release()
			k, err = nil, fmt.Errorf("start the warden: %w", err)
		}
	}()
	fd, err := unix.MemfdCreate("ddgoose-will", unix.MFD_CLOEXEC)
	if err != nil {
		return k, fmt.Errorf("make its memory: %w", err)
	}
	k.file = os.NewFile(uintptr(fd), "ddgoose-will")
	if err := k.file.Truncate(size); err != nil {
		return k, fmt.Errorf("make its memory: %w", err)
	}
	if k.mem, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return k, fmt.Errorf("map its memory: %w", err)
	}
	k.word(waitAt).Store(uint64(opts.Wait))
	k.word(magicAt).Store(magic)
	if fd, err = unix.PidfdOpen(os.Getpid(), 0); err != nil {
		return k, fmt.Errorf("pidfd_open (Linux 5.3 has it): %w", err)
	}
	k.self = os.NewFile(uintptr(fd), "pidfd")
	if k.reads, err = listen(opts.Socket); err != nil {
		return k, err
	}
	child, err := k.spawn()
	if err != nil {
		return k, err
	}
	go k.keep(child)
	return k, nil
}

// listen makes the socket of guards, or one that nobody can reach.
func listen(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make its socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "warden's socket")
	if path == "" {
		return f, nil
	}
	err = os.Remove(path) // of an agent that has died
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		_ = f.Close() // unused
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return f, nil
}

// spawn starts a warden. It stays in this process group: a kill of the group is
// meant for it as well.
func (k *Keeper) spawn() (*os.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return os.StartProcess("/proc/self/exe", []string{processName}, &os.ProcAttr{
		Dir: "/", Env: []string{"GOMAXPROCS=1", "GOGC=off"},
		Files: []*os.File{null, null, null, k.file, k.self, k.reads},
	})
}

// again is the pause before a warden that has ended is started again.
const again = time.Second

// keep waits for the warden's end, and starts another one.
func (k *Keeper) keep(child *os.Process) {
	defer close(k.ended)
	for {
		over := make(chan error, 1)
		go func() {
			state, err := child.Wait()
			if err == nil {
				err = errors.New("the warden ended: " + state.String())
			}
			over <- err
		}()
		select {
		case <-k.closed:
			_ = child.Kill() // it may have ended
			<-over
			return
		case err := <-over:
			k.fail(err)
		}
		for child = nil; child == nil; {
			select {
			case <-k.closed:
				return
			case <-time.After(again):
			}
			var err error
			if child, err = k.spawn(); err != nil {
				k.fail(fmt.Errorf("start the warden again: %w", err))
			}
		}
		k.failed.Store(nil)
	}
}

func (k *Keeper) fail(err error) {
	k.failed.Store(new(err.Error()))
	if k.opts.Failed != nil {
		k.opts.Failed(err)
	}
}

// Problem says why no warden runs; "": one does.
func (k *Keeper) Problem() string {
	if p := k.failed.Load(); p != nil {
		return *p
	}
	return ""
}

// Close ends the warden, which sends nothing. k cannot be used afterwards.
func (k *Keeper) Close() {
	k.Hush(true)
	close(k.closed)
	<-k.ended
	k.release()
}

func (k *Keeper) release() {
	for _, f := range []*os.File{k.file, k.self, k.reads} {
		if f != nil {
			_ = f.Close() // nothing to lose
		}
	}
	if k.mem != nil {
		_ = unix.Munmap(k.mem)
	}
	if k.reads != nil && k.opts.Socket != "" {
		_ = os.Remove(k.opts.Socket) // it may be gone
	}
}

func (k *Keeper) word(at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&k.mem[at]))
}

// Write replaces the will of an election; without messages it has none. Messages for which
// there is no room are left out: their voters wait for the lease's end.
func (k *Keeper) Write(election string, messages []Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(messages) == 0 {
		delete(k.mu.messages, election)
	} else {
		k.mu.messages[election] = messages
	}
	other := 3 - max(k.mu.active, 1)
	b := k.mem[copiesAt+(other-1)*copySize:][:copySize]
	all := b[4:4]
	for _, name := range slices.Sorted(maps.Keys(k.mu.messages)) {
		for i := range k.mu.messages[name] {
			if l := &k.mu.messages[name][i]; len(all)+40+len(l.Datagram) <= copySize-4 {
				all = appendMessage(all, keyOf(name), l)
			}
		}
	}
	binary.NativeEndian.PutUint32(b, uint32(len(all)))
	k.mu.active = other
	k.enforce()
}

// Hush makes all wills void, or ends that.
func (k *Keeper) Hush(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.hushed = on
	k.enforce()
}

// enforce puts the newest copy in force, unless wills are void.
func (k *Keeper) enforce() {
	if active := uint64(k.mu.active); !k.mu.hushed {
		k.word(activeAt).Store(active)
	} else {
		k.word(activeAt).Store(0)
	}
}

// Slot is a place in the list of holders.
type Slot int

// crowded is the slot of a holder for which there is no room. While there is one, no will
// is in force.
const crowded Slot = -1

// Hold puts a holder into the list, before it gets a deadline. proof is what it will say
// when its work is gone, or NoProof.
func (k *Keeper) Hold(election string, proof uint64) Slot {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(k.mu.slots[:], false)
	if i < 0 {
		k.word(overflowAt).Add(1)
		return crowded
	}
	k.mu.slots[i] = true
	k.word(slotsAt + i*slotSize).Store(keyOf(election))
	k.word(slotsAt + i*slotSize + 8).Store(max(proof, NoProof))
	return Slot(i)
}

// Drop takes a holder out of the list: its work has ended.
func (k *Keeper) Drop(s Slot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s == crowded {
		k.word(overflowAt).Add(^uint64(0))
		return
	}
	k.word(slotsAt + int(s)*slotSize + 8).Store(free)
	k.mu.slots[s] = false
}
