package netem

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// percent is a probability in millionths of a percent, so that it prints exactly as
// it was written.
type percent uint32

const (
	onePercent percent = 1e6
	always             = 100 * onePercent
)

func parsePercent(s string) (percent, bool) {
	num, ok := strings.CutSuffix(s, "%")
	v, okNum := parseDecimal(num, uint64(onePercent), 6)
	return percent(v), ok && okNum && v <= uint64(always)
}

func (p percent) String() string {
	s := strconv.FormatUint(uint64(p/onePercent), 10)
	if rest := p % onePercent; rest != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%06d", rest), "0")
	}
	return s + "%"
}

// bitrate is in bits per second.
type bitrate uint64

const (
	minRate bitrate = 1e3
	maxRate bitrate = 1e11
)

// rateUnits has the longer word before the one it ends with.
var rateUnits = [...]struct {
	word string
	bits uint64
}{
	{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1},
	{"gbps", 8e9}, {"mbps", 8e6}, {"kbps", 8e3}, {"bps", 8},
}

func parseRate(s string) (bitrate, bool) {
	for _, u := range rateUnits {
		if num, ok := strings.CutSuffix(strings.ToLower(s), u.word); ok {
			v, ok := parseDecimal(num, u.bits, 9)
			return bitrate(v), ok && bitrate(v) >= minRate && bitrate(v) <= maxRate
		}
	}
	return 0, false
}

// String returns the rate in the largest unit of bits that needs no fraction.
func (r bitrate) String() string {
	for _, u := range rateUnits[:4] {
		if uint64(r)%u.bits == 0 {
			return strconv.FormatUint(uint64(r)/u.bits, 10) + u.word
		}
	}
	panic("unreachable: every rate is a number of bits")
}

// parseDecimal reads a number with at most the given number of decimals and returns
// it times unit, rounded down.
func parseDecimal(s string, unit uint64, decimals int) (uint64, bool) {
	whole, frac, dot := strings.Cut(s, ".")
	if !isDigits(whole) || dot && !isDigits(frac) || len(frac) > decimals {
		return 0, false
	}
	n, err := strconv.ParseUint(whole, 10, 64)
	over, v := bits.Mul64(n, unit)
	if err != nil || over != 0 || v > 1<<62 {
		return 0, false
	}
	if dot {
		f, _ := strconv.ParseUint(frac, 10, 64)
		scale := uint64(1)
		for range len(frac) {
			scale *= 10
		}
		hi, lo := bits.Mul64(f, unit)
		q, _ := bits.Div64(hi, lo, scale)
		v += q
	}
	return v, true
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// number reports whether the next word looks like a number: then it is the optional
// argument, and not the next fault.
func (p *parser) number() bool {
	s := p.peek()
	return s != "" && (s[0] >= '0' && s[0] <= '9' || s[0] == '.' || s[0] == '-' || s[0] == '+')
}

// take reads the next word into to. want says in errors what it should be.
func take[T any](p *parser, to *T, parse func(string) (T, bool), want string) error {
	v, ok := parse(p.peek())
	if !ok {
		return p.wrong(want)
	}
	*to = v
	p.advance()
	return nil
}

func (p *parser) percent(to *percent, what string) error {
	return take(p, to, parsePercent, "a "+what+" from 0% to 100%, like 30%")
}

func (p *parser) duration(to *time.Duration, what string) error {
	return take(p, to, parseDelay, "a "+what+" from 0s to 1h, like 40ms")
}

func parseDelay(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0 && d <= MaxDelay
}

func (p *parser) rate(to *bitrate) error {
	return take(p, to, parseRate, "a rate from 1kbit to 100gbit, like 1mbit, 256kbit or 64kbps (kbps are kilobytes per second)")
}
