package wire

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// KeySize is the length of a key in bytes.
	KeySize = 32
	// MaxLabel bounds a flock's label in bytes. It is memberlist's bound.
	MaxLabel = 255

	keyIDSize = 4
	headSize  = 2 + keyIDSize // first byte, version, key id
	nonceSize = chacha20poly1305.NonceSizeX
	sealSize  = nonceSize + chacha20poly1305.Overhead
	sumSize   = crc32.Size
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Keyring seals and opens datagrams and streams for one flock label. It never changes,
// so any number of goroutines may use it; new keys need a new one.
type Keyring struct {
	ids       []string
	datagrams envelope
	prefaces  envelope
	gossip    envelope
	requests  envelope // on streams
	answers   envelope
}

// NewKeyring returns a keyring of 32-byte keys: the first seals, all open. Each use has
// its own sub-key (HKDF-SHA256). Without keys, datagrams and streams have only a
// checksum, and anyone on the network can forge them.
func NewKeyring(label string, keys [][]byte) (*Keyring, error) {
	if len(label) > MaxLabel {
		return nil, fmt.Errorf("flock label of %d bytes: at most %d", len(label), MaxLabel)
	}
	k := &Keyring{
		datagrams: newEnvelope(FirstByte, Version, label),
		prefaces:  newEnvelope(StreamByte, GossipVersion, label),
		gossip:    newEnvelope(GossipByte, GossipVersion, label),
		requests:  newEnvelope(requestByte, GossipVersion, label),
		answers:   newEnvelope(answerByte, GossipVersion, label),
	}
	for i, key := range keys {
		if len(key) != KeySize {
			return nil, fmt.Errorf("key %d has %d bytes: want %d", i+1, len(key), KeySize)
		}
		for j := range keys[:i] {
			if bytes.Equal(keys[j], key) {
				return nil, fmt.Errorf("key %d (%s) repeats key %d: name each once", i+1, KeyID(key), j+1)
			}
		}
		for use, e := range map[string]*envelope{
			"datagram 1": &k.datagrams, "stream 1": &k.prefaces, "gossip 2": &k.gossip, "request 2": &k.requests, "answer 2": &k.answers,
		} {
			if err := e.add(key, "duckduckgoose "+use, label); err != nil {
				return nil, fmt.Errorf("key %d: %w", i+1, err)
			}
		}
		k.ids = append(k.ids, KeyID(key))
	}
	return k, nil
}

// KeyIDs returns the ids of the keys, the sealing one first; empty without keys.
func (k *Keyring) KeyIDs() []string { return append([]string(nil), k.ids...) }

// Overhead is how many bytes longer than its body Seal's datagram is.
func (k *Keyring) Overhead() int { return headSize + k.datagrams.overhead() }

// Seal appends the datagram for body to dst. The two must not overlap. The only error
// is DropTooLarge. If dst has MaxDatagram bytes of free capacity, it allocates nothing.
func (k *Keyring) Seal(dst, body []byte) ([]byte, error) {
	if n := len(body) + k.Overhead(); n > MaxDatagram {
		return dst, outOfSize("datagram", n, MaxDatagram).ours()
	}
	e := &k.datagrams
	return e.seal(e.appendHead(dst), body), nil
}

// Open checks a datagram and appends its body to dst. The two must not overlap. Every
// error is a *DropError, and dst is then unchanged.
func (k *Keyring) Open(dst, datagram []byte) ([]byte, error) {
	if len(datagram) > MaxDatagram {
		return dst, outOfSize("datagram", len(datagram), MaxDatagram)
	}
	if len(datagram) < headSize {
		return dst, drop(DropShort, fmt.Sprintf("%d bytes: want %d or more", len(datagram), headSize+sumSize))
	}
	body, err := k.datagrams.open(dst, datagram[:headSize], datagram[headSize:])
	if err != nil {
		return dst, k.complete(err)
	}
	return body, nil
}

// complete adds our keys to an error, for comparison.
func (k *Keyring) complete(err *DropError) error {
	if err.Reason == DropUnknownKey || err.Reason == DropUnsealed {
		err.Held = k.KeyIDs()
	}
	return err
}

// envelope seals and opens for one use, which its first byte identifies.
type envelope struct {
	plain [headSize]byte // the head of an unsealed message
	sum   uint32         // CRC-32C of that head, the label's length and the label
	keys  []sealer       // the first seals
}

// sealer is one key for one use. Its head and label never change, so the associated
// data are made once.
type sealer struct {
	aead cipher.AEAD
	data []byte // associated data: head and label
}

func (s *sealer) head() []byte { return s.data[:headSize] }

func newEnvelope(first, version byte, label string) envelope {
	e := envelope{plain: [headSize]byte{first, version}}
	e.sum = crc32.Checksum(e.plain[:], castagnoli)
	e.sum = crc32.Update(e.sum, castagnoli, []byte{byte(len(label))})
	e.sum = crc32.Update(e.sum, castagnoli, []byte(label))
	return e
}

func (e *envelope) add(key []byte, use, label string) error {
	sub, err := hkdf.Key(sha256.New, key, nil, use, chacha20poly1305.KeySize)
	if err != nil {
		return fmt.Errorf("deriving a sub-key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(sub)
	if err != nil {
		return fmt.Errorf("making a cipher: %w", err)
	}
	id := keyID(key)
	data := append([]byte{e.plain[0], e.plain[1]}, id[:]...)
	e.keys = append(e.keys, sealer{aead: aead, data: append(data, label...)})
	return nil
}

func (e *envelope) overhead() int {
	if len(e.keys) == 0 {
		return sumSize
	}
	return sealSize
}

func (e *envelope) appendHead(dst []byte) []byte {
	if len(e.keys) == 0 {
		return append(dst, e.plain[:]...)
	}
	return append(dst, e.keys[0].head()...)
}

// seal appends what follows the head. The nonce is 24 random bytes, so the number of
// datagrams has no limit.
func (e *envelope) seal(dst, body []byte) []byte {
	if len(e.keys) == 0 {
		dst = binary.BigEndian.AppendUint32(dst, crc32.Update(e.sum, castagnoli, body))
		return append(dst, body...)
	}
	var none [nonceSize]byte
	dst = append(dst, none[:]...)
	rand.Read(dst[len(dst)-nonceSize:]) // it never fails: the program ends if the system has no randomness
	return e.sealWith(dst, body)
}

// sealWith appends the cipher text of body, under the nonce at the end of dst.
func (e *envelope) sealWith(dst, body []byte) []byte {
	s := &e.keys[0]
	return s.aead.Seal(dst, dst[len(dst)-nonceSize:], body, s.data)
}

// expects checks the first bytes of a head.
func (e *envelope) expects(head []byte) *DropError {
	if head[0] != e.plain[0] {
		return drop(DropFirstByte, fmt.Sprintf("0x%02X: want 0x%02X", head[0], e.plain[0]))
	}
	if head[1] != e.plain[1] {
		return drop(DropFrameVersion, fmt.Sprintf("%d, we speak %d", head[1], e.plain[1]))
	}
	return nil
}

// open checks a head and the sealed bytes after it, and appends the body to dst.
func (e *envelope) open(dst, head, sealed []byte) ([]byte, *DropError) {
	body, err := e.openInto(dst, head, sealed)
	if err != nil || len(e.keys) > 0 {
		return body, err
	}
	return append(dst, body...), nil
}

// openInPlace opens a message into the memory of its sealed bytes.
func (e *envelope) openInPlace(head, sealed []byte) ([]byte, *DropError) {
	var dst []byte
	if len(e.keys) > 0 && len(sealed) >= sealSize {
		dst = sealed[nonceSize:nonceSize]
	}
	return e.openInto(dst, head, sealed)
}

// openInto appends the opened bytes to dst. Bytes that are not sealed it returns as they
// are.
func (e *envelope) openInto(dst, head, sealed []byte) ([]byte, *DropError) {
	if err := e.expects(head); err != nil {
		return nil, err
	}
	if [keyIDSize]byte(head[2:]) == ([keyIDSize]byte{}) {
		return e.openPlain(sealed)
	}
	return e.openSealed(dst, head, sealed)
}

func (e *envelope) openPlain(sealed []byte) ([]byte, *DropError) {
	if len(e.keys) > 0 {
		return nil, drop(DropUnsealed, "")
	}
	if len(sealed) < sumSize {
		return nil, drop(DropShort, "ends within the checksum")
	}
	body := sealed[sumSize:]
	if binary.BigEndian.Uint32(sealed) != crc32.Update(e.sum, castagnoli, body) {
		return nil, drop(DropChecksum, "")
	}
	return body, nil
}

func (e *envelope) openSealed(dst, head, sealed []byte) ([]byte, *DropError) {
	reason := DropUnknownKey
	for i := range e.keys { // try every key with that id: two may have the same id by chance
		s := &e.keys[i]
		if !bytes.Equal(s.head(), head) {
			continue
		}
		if len(sealed) < sealSize {
			return nil, drop(DropShort, "ends within the seal")
		}
		body, failed := s.aead.Open(dst, sealed[:nonceSize], sealed[nonceSize:], s.data)
		if failed == nil {
			return body, nil
		}
		reason = DropSeal
	}
	return nil, &DropError{Reason: reason, KeyID: hex.EncodeToString(head[2:])}
}
