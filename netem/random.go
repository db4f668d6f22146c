package netem

import "time"

// Random is a generator of random numbers (splitmix64): the same seed gives the same
// numbers on every machine. *Random is a math/rand/v2 Source and an io.Reader.
type Random uint64

// NewRandom returns the generator of one link. Those of different seeds, directions or keys
// are independent of each other.
func NewRandom(seed uint64, dir Direction, key string) Random {
	// FNV-1a takes in the key; one round of the generator spreads each part.
	h := uint64(14695981039346656037)
	for _, c := range []byte(key) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	d := Random(seed)
	d = Random(d.Uint64() ^ h)
	d = Random(d.Uint64() + uint64(dir))
	return Random(d.Uint64())
}

// Uint64 draws 64 bits.
func (d *Random) Uint64() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Read fills b, and never fails.
func (d *Random) Read(b []byte) (int, error) {
	var word uint64
	for i := range b {
		if i%8 == 0 {
			word = d.Uint64()
		}
		b[i] = byte(word >> 56)
		word <<= 8
	}
	return len(b), nil
}

// chance is true with probability p.
func (d *Random) chance(p percent) bool {
	return p > 0 && d.Uint64()%uint64(always) < uint64(p)
}

// uniform draws from [-j, +j].
func (d *Random) uniform(j time.Duration) time.Duration {
	return time.Duration(d.Uint64()%uint64(2*j+1)) - j
}

// normal draws with mean 0 and standard deviation j: the sum of twelve uniform
// numbers of 16 bits has a deviation of 2^16. MaxDelay keeps the product in 64 bits.
func (d *Random) normal(j time.Duration) time.Duration {
	sum := int64(-6 << 16)
	for range 3 {
		for v, i := d.Uint64(), 0; i < 4; i++ {
			sum += int64(v & 0xffff)
			v >>= 16
		}
	}
	return time.Duration(int64(j) * sum >> 16)
}

// Below draws from [0, d).
func (d *Random) Below(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(d.Uint64() % uint64(most))
}

// Between draws from [lo, hi).
func (d *Random) Between(lo, hi time.Duration) time.Duration { return lo + d.Below(hi-lo) }

// OneIn is true once in n times.
func (d *Random) OneIn(n int) bool { return d.Uint64()%uint64(n) == 0 }
