package flock

import (
	"bytes"
	"strings"
	"sync"
)

// transcript keeps what was written.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func (t *transcript) contains(text string) bool { return strings.Contains(t.String(), text) }
