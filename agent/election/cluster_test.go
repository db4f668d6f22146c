package election

import (
	"container/heap"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cluster runs nodes under one virtual clock and a network that delays every
// message by latency, or as delay says, and cuts the links named in cut. Everything repeats.
type cluster struct {
	t       testing.TB
	now     time.Duration
	latency time.Duration
	delay   func(from, to string) time.Duration
	timing  [2]time.Duration // heartbeat and lease of agents that are added; zero: settingsOf's
	order   []string
	nodes   map[string]*member
	cut     map[[2]string]bool // one-way: from, to
	drop    func(m *Message) bool
	queue   flights
	flights uint64
	leaders map[uint64]string // term -> who led it (P1)
}

type member struct {
	name     string
	set      Settings
	node     Node
	disk     Record
	fx       Effects
	wake     time.Duration
	down     bool
	lives    map[ID]uint64 // the others', as their messages told; 0: their first
	log      []Event
	refusals []string
}

type flight struct {
	at  time.Duration
	seq uint64
	m   Message
}

type flights []flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].seq < f[j].seq
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any     { old := *f; x := old[len(old)-1]; *f = old[:len(old)-1]; return x }

func idOf(name string) ID { var id ID; copy(id[:], name); return id }

var testFlock = FlockID{1}

func configOf(names ...string) Config {
	c := Config{ConfigID: ConfigID{Version: 1}}
	for _, n := range names {
		c = c.With(Voter{ID: idOf(n), Priority: 100})
	}
	return c
}

func newCluster(t testing.TB, names ...string) *cluster {
	c := &cluster{
		t: t, now: time.Hour, latency: 200 * time.Microsecond,
		nodes: map[string]*member{}, cut: map[[2]string]bool{}, leaders: map[uint64]string{},
	}
	for _, name := range names {
		c.add(name, Record{FlockID: testFlock, Config: configOf(names...), PromiseMax: 500 * time.Millisecond}, true)
	}
	return c
}

func settingsOf(name string) Settings {
	return Settings{
		ID: idOf(name), Heartbeat: 50 * time.Millisecond, Lease: 500 * time.Millisecond,
		Eps: 10 * time.Millisecond, Seed: uint64(name[0]),
	}
}

func (c *cluster) add(name string, rec Record, fresh bool) {
	m := &member{name: name, disk: rec, set: settingsOf(name), lives: map[ID]uint64{}}
	if lease := c.timing[1]; lease > 0 {
		m.set.Heartbeat, m.set.Lease, m.set.Eps = c.timing[0], lease, lease/50
	}
	m.node = New(m.set, rec, c.now, fresh)
	m.wake = m.node.wakeAt(c.now)
	c.order = append(c.order, name)
	c.nodes[name] = m
}

func (c *cluster) step(name string, in Input) error {
	m := c.nodes[name]
	m.node.Step(c.now, in, &m.fx)
	m.wake = m.fx.WakeAt
	if m.fx.Save {
		m.disk = m.fx.Record
	}
	m.log = append(m.log, m.fx.Events...)
	for _, e := range m.fx.Events {
		if e.Kind == EventWon {
			require.NotContains(c.t, c.leaders, e.Term, "P1: two leaders in term %d: %s and %s", e.Term, c.leaders[e.Term], name)
			c.leaders[e.Term] = name
		}
	}
	for _, out := range m.fx.Send {
		c.launch(out)
	}
	if m.fx.Announce {
		for _, other := range c.order {
			if id := idOf(other); other != name && m.node.peerOf(id) == nil {
				out := m.fx.Announcement
				out.To = id
				c.launch(out)
			}
		}
	}
	c.checkLeases()
	return m.fx.Err
}

func (c *cluster) launch(m Message) {
	from, to := nameOf(m.From), nameOf(m.To)
	m.Life, m.ToLife = c.nodes[from].set.Life, c.nodes[from].lives[m.To]
	if c.cut[[2]string{from, to}] || c.drop != nil && c.drop(&m) {
		return
	}
	c.flights++
	latency := c.latency
	if c.delay != nil {
		latency = c.delay(from, to)
	}
	heap.Push(&c.queue, flight{c.now + latency, c.flights, m})
}

func nameOf(id ID) string {
	n := 0
	for n < len(id) && id[n] != 0 {
		n++
	}
	return string(id[:n])
}

// checkLeases is P2 as readers see it.
func (c *cluster) checkLeases() {
	goose := ""
	for _, name := range c.order {
		m := c.nodes[name]
		if !m.down && m.node.Lease().Until > c.now {
			require.Empty(c.t, goose, "P2: two geese at %v", c.now)
			goose = name
		}
	}
}

// next runs the next thing that is due, up to end; false: nothing is.
func (c *cluster) next(end time.Duration) bool {
	at, who := end, ""
	for _, name := range c.order {
		if m := c.nodes[name]; !m.down && m.wake > 0 && max(m.wake, c.now) < at {
			at, who = max(m.wake, c.now), name
		}
	}
	if len(c.queue) > 0 && c.queue[0].at <= at {
		f := heap.Pop(&c.queue).(flight)
		c.now = max(c.now, f.at)
		if m := c.nodes[nameOf(f.m.To)]; m != nil && !m.down {
			m.lives[f.m.From] = max(m.lives[f.m.From], f.m.Life)
			c.step(m.name, &f.m)
		}
		return true
	}
	if who == "" {
		c.now = end
		return false
	}
	c.now = at
	c.step(who, Tick{})
	return true
}

func (c *cluster) run(d time.Duration) {
	for end := c.now + d; c.next(end); {
	}
}

// until runs until ok, for at most d.
func (c *cluster) until(d time.Duration, what string, ok func() bool) {
	c.t.Helper()
	for end := c.now + d; !ok(); {
		require.True(c.t, c.next(end), "not within %v: %s\n%s", d, what, c)
	}
}

func (c *cluster) goose() string {
	for _, name := range c.order {
		if m := c.nodes[name]; !m.down && m.node.Lease().Until > c.now {
			return name
		}
	}
	return ""
}

func (c *cluster) awaitGoose(d time.Duration) string {
	c.t.Helper()
	c.until(d, "a goose", func() bool { return c.goose() != "" })
	return c.goose()
}

func (c *cluster) kill(name string) { c.nodes[name].down = true }

func (c *cluster) restart(name string) {
	m := c.nodes[name]
	m.down = false
	m.set.Life++
	m.lives = map[ID]uint64{}
	for _, other := range c.order {
		m.lives[idOf(other)] = c.nodes[other].set.Life // who starts is told by gossip
	}
	m.node = New(m.set, m.disk, c.now, false)
	m.wake = m.node.wakeAt(c.now)
}

func (c *cluster) link(open bool, a, b string) {
	c.cut[[2]string{a, b}], c.cut[[2]string{b, a}] = !open, !open
}

func (c *cluster) String() string {
	s := fmt.Sprintf("at %v:\n", c.now-time.Hour)
	for _, name := range c.order {
		n := &c.nodes[name].node
		s += fmt.Sprintf("  %s: %v term %d vote %s leader %s config %v n %d electAt %v lease %v\n", name, n.role, n.rec.Term,
			nameOf(n.rec.Vote), nameOf(n.leader), n.rec.Config.ConfigID, n.rec.Config.N, n.electAt-time.Hour, n.lease)
	}
	return s
}
