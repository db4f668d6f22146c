package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"duckduckgoose/agent/election"
)

const (
	peersName = "peers"
	peerBytes = 512 // bounds one peer in the file

	// MaxPeers bounds the addresses kept.
	MaxPeers = 1024
)

// Peer is where an agent was last seen: an address to call.
type Peer struct {
	Name string
	Addr string // host:port
	ID   election.ID
}

// notes are the files that no vote waits for: peers, and those of SaveNote.
type notes struct {
	sync.Mutex
	known  []Peer
	stale  bool  // the file of peers differs from them
	err    error // why the file of peers was not used
	closed bool
}

// peerLine is a peer in the file: one line of JSON.
type peerLine struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
	ID   string `json:"id"`
}

// Peers returns the addresses last passed to SavePeers, in this process or an earlier
// one.
func (s *Store) Peers() []Peer {
	s.notes.Lock()
	defer s.notes.Unlock()
	return slices.Clone(s.notes.known)
}

// Names returns the names that this disk knows, this agent's included.
func (s *Store) Names() map[election.ID]string {
	names := map[election.ID]string{}
	for _, p := range s.Peers() {
		names[p.ID] = p.Name
	}
	return names
}

// PeersErr returns why Open could not use the file of peers; nil if it could, if the
// file was missing, or once SavePeers has written a new one. The agent works without
// it.
func (s *Store) PeersErr() error {
	s.notes.Lock()
	defer s.notes.Unlock()
	return s.notes.err
}

// SavePeers keeps the first MaxPeers addresses for the next start. It writes only if
// they have changed. A failure is only a warning: no vote depends on it.
func (s *Store) SavePeers(ps []Peer) error {
	p := &s.notes
	p.Lock()
	defer p.Unlock()
	if p.closed {
		return ErrClosed
	}
	ps = ps[:min(len(ps), MaxPeers)]
	if slices.Equal(ps, p.known) && !p.stale {
		return nil
	}
	b, err := encodePeers(ps)
	if err != nil {
		return fmt.Errorf("save peers: %w", err)
	}
	p.known, p.stale = slices.Clone(ps), true
	if err := s.saveNote(peersName, b); err != nil {
		return err
	}
	p.stale, p.err = false, nil
	return nil
}

// loadPeers reads the file of peers at Open, or records why it cannot.
func (s *Store) loadPeers() {
	known, err := s.readPeers()
	if err != nil {
		s.notes.stale, s.notes.err = true, fmt.Errorf("%s is not used: %w", s.path(peersName), err)
		return
	}
	s.notes.known = known
}

func (s *Store) readPeers() ([]Peer, error) {
	b, err := s.Note(peersName, MaxPeers*peerBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodePeers(b)
}

func encodePeers(ps []Peer) ([]byte, error) {
	var out []byte
	for _, p := range ps {
		line, err := json.Marshal(peerLine{Name: p.Name, Addr: p.Addr, ID: p.ID.String()})
		if err != nil {
			return nil, err
		}
		if len(line) >= peerBytes {
			return nil, fmt.Errorf("peer %s: %d bytes, at most %d", p.ID, len(line), peerBytes-1)
		}
		out = append(append(out, line...), '\n')
	}
	return out, nil
}

func decodePeers(b []byte) ([]Peer, error) {
	var ps []Peer
	for text := range bytes.Lines(b) {
		var l peerLine
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(ps)+1, err)
		}
		id, err := election.ParseID(l.ID)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(ps)+1, err)
		}
		if len(ps) == MaxPeers {
			return nil, fmt.Errorf("more than %d lines", MaxPeers)
		}
		ps = append(ps, Peer{Name: l.Name, Addr: l.Addr, ID: id})
	}
	return ps, nil
}
