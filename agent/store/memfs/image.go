package memfs

import "math/rand/v2"

const sectorBytes = 512

type sector [sectorBytes]byte

// image is the content of a file. A nil sector is all zeros. Sectors never change, so
// that images can share them.
type image struct {
	size    int64
	sectors []*sector
}

// change is one atomic step from one image to another: of one sector, or of the size.
type change struct {
	index int     // of the sector; -1: the size
	data  *sector // nil: all zeros
	size  int64   // with index -1: the size; else it is at least this
}

func (m *image) apply(c change) {
	if c.index < 0 {
		m.resize(c.size)
		return
	}
	if c.size > m.size {
		m.resize(c.size)
	}
	if c.index < len(m.sectors) {
		m.sectors[c.index] = c.data
	}
}

func (m *image) resize(size int64) {
	n := int((size + sectorBytes - 1) / sectorBytes)
	for len(m.sectors) < n {
		m.sectors = append(m.sectors, nil)
	}
	clear(m.sectors[n:])
	m.sectors = m.sectors[:n]
	if tail := size % sectorBytes; size < m.size && tail != 0 && m.sectors[n-1] != nil {
		cut := *m.sectors[n-1]
		clear(cut[tail:])
		m.sectors[n-1] = &cut
	}
	m.size = size
}

// writes returns the changes by which b is written at off.
func (m *image) writes(b []byte, off int64) []change {
	var cs []change
	for len(b) > 0 {
		index, from := int(off/sectorBytes), int(off%sectorBytes)
		n := min(len(b), sectorBytes-from)
		var data sector
		if index < len(m.sectors) && m.sectors[index] != nil {
			data = *m.sectors[index]
		}
		copy(data[from:], b[:n])
		c := change{index: index, size: off + int64(n)}
		if data != (sector{}) {
			c.data = &data
		}
		cs = append(cs, c)
		b, off = b[n:], off+int64(n)
	}
	return cs
}

func (m *image) readAt(b []byte, off int64) int {
	n := int(min(int64(len(b)), max(0, m.size-off)))
	for done := 0; done < n; {
		index, from := int((off+int64(done))/sectorBytes), int((off+int64(done))%sectorBytes)
		part := b[done:min(n, done+sectorBytes-from)]
		if s := m.sectors[index]; s != nil {
			copy(part, s[from:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return n
}

// choose draws which of the unsynced changes the disk has made.
func choose(rng *rand.Rand, cs []change) []change {
	switch rng.IntN(4) {
	case 0:
		return nil
	case 1:
		return cs
	case 2:
		return cs[:rng.IntN(len(cs)+1)]
	}
	var kept []change
	for _, c := range cs {
		if rng.IntN(2) == 0 {
			kept = append(kept, c)
		}
	}
	return kept
}
