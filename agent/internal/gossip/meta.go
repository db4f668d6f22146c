package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"net/netip"
	"slices"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/member"

	"github.com/hashicorp/memberlist"
)

const (
	metaVersion   = 1
	metaObserver  = 1 // the flags in the order of encode
	metaAccepted  = 2
	metaLeft      = 4
	metaSettled   = 8
	metaWork      = 16
	metaChecked   = 32
	metaUnwell    = 64
	metaRelays    = 128
	metaFixedSize = 1 + 1 + 1 + 1 + 16 + 8 + 8 // version, flags, priority, expect, flock, start, life
	metaSumSize   = 4
	metaRoom      = memberlist.MetaMaxSize - metaSumSize
)

var errMeta = errors.New("metadata of an unknown form")

// CheckMeta returns an error if a name and tags do not fit into the metadata. It
// says how many bytes are too many.
func CheckMeta(name string, tags map[string]string) error {
	_, err := encode(&member.Meta{Name: name, Tags: tags})
	return err
}

// encode returns the metadata's bytes, at most metaRoom.
func encode(p *member.Meta) ([]byte, error) {
	b := make([]byte, 0, metaFixedSize+64)
	flags := uint8(0)
	for i, set := range [...]bool{p.Observer, p.Accepted, p.Left, p.Settled, p.Work, p.Health != 0, p.Health == member.Unwell, p.Relays} {
		if set {
			flags |= 1 << i
		}
	}
	b = append(b, metaVersion, flags, p.Priority, p.Expect)
	b = append(b, p.FlockID[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Start)
	b = binary.BigEndian.AppendUint64(b, p.Life)
	b = appendText(b, p.Name)
	for _, k := range slices.Sorted(maps.Keys(p.Tags)) {
		if len(k) > 255 || len(p.Tags[k]) > 255 {
			return nil, fmt.Errorf("tag %.20s...: at most 255 bytes each for key and value", k)
		}
		b = appendText(appendText(b, k), p.Tags[k])
	}
	if over := len(b) - (metaRoom - extrasRoom); over > 0 {
		return nil, fmt.Errorf("tags are %d bytes too many: name and tags together may take %d bytes", over, metaRoom-extrasRoom-metaFixedSize)
	}
	return appendExtras(b, p), nil
}

// sumMeta appends a checksum of the metadata and of the agent's id and address.
// Without a key only some packets of memberlist have checksums, and a damaged
// start count or address would be believed.
func sumMeta(meta []byte, id string, addr netip.AddrPort) []byte {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	h.Write([]byte(id))
	ip := addr.Addr().Unmap().As16()
	h.Write(ip[:])
	h.Write(binary.BigEndian.AppendUint16(nil, addr.Port()))
	h.Write(meta)
	return h.Sum(slices.Clip(meta))
}

// checkMeta returns the metadata without its checksum, if the checksum is right.
func checkMeta(b []byte, id string, addr netip.AddrPort) (meta []byte, ok bool) {
	if len(b) < metaSumSize || len(b) > memberlist.MetaMaxSize {
		return nil, false
	}
	meta = b[:len(b)-metaSumSize]
	return meta, bytes.Equal(sumMeta(meta, id, addr), b)
}

func appendText(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

// decodeMeta reads metadata from gossip, which may be any bytes.
func decodeMeta(b []byte) (member.Meta, error) {
	if len(b) < metaFixedSize || b[0] != metaVersion {
		return member.Meta{}, errMeta
	}
	p := member.Meta{
		Observer: b[1]&metaObserver != 0, Accepted: b[1]&metaAccepted != 0, Left: b[1]&metaLeft != 0,
		Settled: b[1]&metaSettled != 0, Work: b[1]&metaWork != 0, Relays: b[1]&metaRelays != 0, Priority: b[2], Expect: b[3],
	}
	switch {
	case b[1]&metaUnwell != 0:
		p.Health = member.Unwell
	case b[1]&metaChecked != 0:
		p.Health = member.Well
	}
	copy(p.FlockID[:], b[4:])
	p.Start = binary.BigEndian.Uint64(b[20:])
	p.Life = binary.BigEndian.Uint64(b[28:])
	rest := b[metaFixedSize:]
	var texts []string
	for len(rest) > 0 {
		n := int(rest[0])
		if len(rest) < 1+n {
			return member.Meta{}, errMeta
		}
		texts = append(texts, string(rest[1:1+n]))
		rest = rest[1+n:]
	}
	if len(texts)%2 == 0 || !ValidName(texts[0]) {
		return member.Meta{}, errMeta
	}
	p.Name = texts[0]
	p.Tags = map[string]string{}
	for i := 1; i < len(texts); i += 2 {
		if takeExtra(&p, texts[i], texts[i+1]) {
			continue
		}
		if !ValidTagKey(texts[i]) || !ValidText(texts[i+1]) {
			return member.Meta{}, errMeta
		}
		p.Tags[texts[i]] = texts[i+1]
	}
	return p, nil
}

// ValidText reports whether a text can be shown as it is: it has no characters that
// control a terminal, and no invisible ones.
func ValidText(s string) bool {
	return api.Printable(s) == s
}

// ValidName reports whether an agent may have this name: [A-Za-z0-9._-]{1,63}, but
// not "." or "..".
func ValidName(s string) bool { return ValidTagKey(s) && s != "." && s != ".." }

// ValidTagKey reports whether a tag may have this key: [A-Za-z0-9._-]{1,63}.
func ValidTagKey(s string) bool {
	if len(s) < 1 || len(s) > 63 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
