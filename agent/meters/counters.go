package meters

import (
	"sync"
	"sync/atomic"
)

// Counters counts what happened, by name. A name is made at its first use. It
// is safe for many goroutines, and its zero value is ready.
type Counters struct {
	Traffic Traffic

	byName sync.Map // string -> *atomic.Uint64
}

// Of gives the counter of a name. A caller that counts often keeps the pointer.
func (c *Counters) Of(name string) *atomic.Uint64 {
	if v, ok := c.byName.Load(name); ok {
		return v.(*atomic.Uint64)
	}
	v, _ := c.byName.LoadOrStore(name, new(atomic.Uint64))
	return v.(*atomic.Uint64)
}

// All copies the counters.
func (c *Counters) All() map[string]uint64 {
	m := make(map[string]uint64)
	c.byName.Range(func(k, v any) bool {
		m[k.(string)] = v.(*atomic.Uint64).Load()
		return true
	})
	return m
}
