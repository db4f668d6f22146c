package seeds

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// looksAtOnce bounds how many lookups run at the same time. Each has its own time limit,
// so the others get their turn.
const looksAtOnce = 16

// List holds the seeds and the last result of each lookup. It is safe for concurrent
// use.
type List struct {
	resolver *net.Resolver
	run      func(func(context.Context)) bool
	found    func()
	slots    chan struct{}

	mu struct { // guards what follows
		sync.Mutex
		entries []*entry
	}
}

// entry is one seed. A failed lookup keeps the last good result: an old address may still
// answer.
type entry struct {
	Seed
	addrs   []netip.AddrPort
	fault   error
	looking bool
}

// NewList returns an empty list. run starts a lookup on its own goroutine; found is
// called when a lookup finds other addresses than before. A nil resolver stands for the
// system's.
func NewList(r *net.Resolver, run func(func(context.Context)) bool, found func()) *List {
	return &List{resolver: r, run: run, found: found, slots: make(chan struct{}, looksAtOnce)}
}

// Set replaces the seeds. Those that stay keep their addresses.
func (b *List) Set(words []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var entries []*entry
	for _, w := range words {
		if i := slices.IndexFunc(b.mu.entries, func(p *entry) bool { return p.word == w }); i >= 0 {
			entries = append(entries, b.mu.entries[i])
			continue
		}
		s, err := Parse(w)
		p := &entry{Seed: s}
		if err != nil {
			p.fault = fmt.Errorf("%s: %w", w, err)
		}
		if a, ok := s.Addr(); ok && err == nil {
			p.addrs = []netip.AddrPort{a}
		}
		entries = append(entries, p)
	}
	b.mu.entries = entries
}

// Look starts the lookups of all seeds that are not plain addresses.
func (b *List) Look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.mu.entries {
		if p.kind != literal && !p.looking {
			p.looking = b.run(func(ctx context.Context) { b.look(ctx, p) })
		}
	}
}

func (b *List) look(ctx context.Context, p *entry) {
	var addrs []netip.AddrPort
	var err error
	select {
	case b.slots <- struct{}{}:
		addrs, err = p.Lookup(ctx, b.resolver)
		<-b.slots
	case <-ctx.Done():
		err = ctx.Err()
	}
	b.mu.Lock()
	fresh := len(addrs) > 0 && !slices.Equal(addrs, p.addrs)
	if fresh {
		p.addrs = addrs
	}
	p.fault, p.looking = err, false
	b.mu.Unlock()
	if fresh {
		b.found()
	}
}

// Addrs returns the addresses known so far, in the order of the seeds.
func (b *List) Addrs() (addrs []netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.mu.entries {
		addrs = append(addrs, p.addrs...)
	}
	return addrs
}

// Others returns the seeds, without those that lead to one address alone.
func (b *List) Others(without netip.AddrPort) (words []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.mu.entries {
		if !slices.Equal(p.addrs, []netip.AddrPort{without}) {
			words = append(words, p.word)
		}
	}
	return words
}

// Faults returns the errors of the seeds whose last lookup failed.
func (b *List) Faults() (texts []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.mu.entries {
		if p.fault != nil {
			texts = append(texts, p.fault.Error())
		}
	}
	return texts
}
