package netem

import (
	"fmt"
	"strings"
	"time"
)

// MaxDelay bounds the T and JITTER of a delay.
const MaxDelay = time.Hour

// kind is one word of FAULT; a set of them is a bit mask.
type kind uint8

const (
	kindCut kind = 1 << iota
	kindLoss
	kindDelay
	kindDuplicate
	kindReorder
	kindCorrupt
	kindRate
)

// kinds lists the words in the order in which they print.
var kinds = [...]struct {
	kind kind
	word string
}{
	{kindCut, "cut"},
	{kindLoss, "loss"},
	{kindDelay, "delay"},
	{kindDuplicate, "duplicate"},
	{kindReorder, "reorder"},
	{kindCorrupt, "corrupt"},
	{kindRate, "rate"},
}

// faults is what one rule does. Faults that are not in the set have zero values.
type faults struct {
	set       kind
	loss      loss
	delay     delay
	duplicate percent
	reorder   percent
	corrupt   percent
	rate      bitrate
}

// loss is plain (p alone) or Gilbert-Elliott's.
type loss struct {
	gemodel bool
	p       percent // plain: of each packet. gemodel: from good to bad
	r       percent // from bad to good
	bad     percent // 1-H: lost while bad
	good    percent // 1-K: lost while good
}

type delay struct {
	mean, jitter time.Duration
	correlation  percent
	normal       bool
}

func (f *faults) has(k kind) bool { return f.set&k != 0 }

// fault reads one FAULT into f.
func (p *parser) fault(f *faults) error {
	k := kind(0)
	for _, e := range kinds {
		if e.word == p.peek() {
			k = e.kind
		}
	}
	switch {
	case k == 0:
		return p.wrong("cut, loss, delay, duplicate, reorder, corrupt or rate")
	case f.has(k):
		return p.wrong("each fault once in a rule")
	case f.set != 0 && (f.set|k)&kindCut != 0:
		return p.wrong("cut alone in its rule, or without it")
	}
	f.set |= k
	p.advance()
	switch k {
	case kindLoss:
		return p.loss(&f.loss)
	case kindDelay:
		return p.delay(&f.delay)
	case kindDuplicate:
		return p.percent(&f.duplicate, "percentage")
	case kindReorder:
		p.reorderAt = p.n
		return p.percent(&f.reorder, "percentage")
	case kindCorrupt:
		return p.percent(&f.corrupt, "percentage")
	case kindRate:
		return p.rate(&f.rate)
	}
	return nil
}

// check returns errors of a rule as a whole.
func (p *parser) check(f *faults) error {
	if f.has(kindReorder) && !f.has(kindDelay) {
		return wrongWord(p.reorderAt, "reorder",
			`a delay in the same rule, as in "delay 10ms reorder 25%": a reordered packet overtakes delayed ones`)
	}
	return nil
}

func (p *parser) loss(l *loss) error {
	if p.peek() != "gemodel" {
		if !p.number() {
			return p.wrong("a percentage from 0% to 100%, like 30%, or gemodel")
		}
		return p.percent(&l.p, "percentage")
	}
	p.advance()
	l.gemodel, l.bad = true, always
	if err := p.percent(&l.p, "probability to turn bad"); err != nil {
		return err
	}
	if err := p.percent(&l.r, "probability to turn good again"); err != nil {
		return err
	}
	if !p.number() {
		return nil
	}
	if err := p.percent(&l.bad, "loss while bad"); err != nil || !p.number() {
		return err
	}
	return p.percent(&l.good, "loss while good")
}

func (p *parser) delay(d *delay) error {
	if err := p.duration(&d.mean, "delay"); err != nil {
		return err
	}
	if !p.number() {
		if p.peek() == "distribution" {
			return p.wrong(`a jitter before distribution, as in "delay 40ms 10ms distribution normal"`)
		}
		return nil
	}
	if err := p.duration(&d.jitter, "jitter"); err != nil {
		return err
	}
	if p.number() {
		if err := p.percent(&d.correlation, "correlation"); err != nil {
			return err
		}
	}
	if p.peek() != "distribution" {
		return nil
	}
	p.advance()
	switch p.peek() {
	case "normal":
		d.normal = true
	case "uniform":
	default:
		return p.wrong("normal or uniform")
	}
	p.advance()
	return nil
}

// print writes the faults, each after a space.
func (f *faults) print(b *strings.Builder) {
	for _, e := range kinds {
		if !f.has(e.kind) {
			continue
		}
		b.WriteByte(' ')
		b.WriteString(e.word)
		switch e.kind {
		case kindLoss:
			f.loss.print(b)
		case kindDelay:
			f.delay.print(b)
		case kindDuplicate:
			b.WriteString(" " + f.duplicate.String())
		case kindReorder:
			b.WriteString(" " + f.reorder.String())
		case kindCorrupt:
			b.WriteString(" " + f.corrupt.String())
		case kindRate:
			b.WriteString(" " + f.rate.String())
		}
	}
}

func (l *loss) print(b *strings.Builder) {
	if !l.gemodel {
		b.WriteString(" " + l.p.String())
		return
	}
	fmt.Fprintf(b, " gemodel %v %v", l.p, l.r)
	if l.bad != always || l.good != 0 {
		b.WriteString(" " + l.bad.String())
	}
	if l.good != 0 {
		b.WriteString(" " + l.good.String())
	}
}

func (d *delay) print(b *strings.Builder) {
	b.WriteString(" " + d.mean.String())
	if d.jitter != 0 || d.correlation != 0 || d.normal {
		b.WriteString(" " + d.jitter.String())
	}
	if d.correlation != 0 {
		b.WriteString(" " + d.correlation.String())
	}
	if d.normal {
		b.WriteString(" distribution normal")
	}
}
