package netem

import (
	"fmt"
	"strings"
)

// parser reads the words of one rule after another. It counts words over all rules,
// so that errors can say which word is wrong.
type parser struct {
	words     []string // of the present rule, those not yet read
	n         int      // number of the last word read
	last      string   // that word
	reorderAt int      // number of the word "reorder" read last
}

func parse(s string) ([]rule, error) {
	if isBlank(s) {
		return nil, nil
	}
	var list []rule
	var p parser
	for text := range strings.SplitSeq(s, ";") {
		p.words = strings.FieldsFunc(text, isSpace)
		if len(p.words) == 0 {
			return nil, p.wrong(`a rule before and after each ";"`)
		}
		r, err := p.rule()
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func isSpace(r rune) bool   { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }
func isBlank(s string) bool { return strings.TrimFunc(s, isSpace) == "" }

// peek returns the next word of the rule, "" at its end.
func (p *parser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *parser) advance() {
	p.last, p.words = p.words[0], p.words[1:]
	p.n++
}

// wrong says what the next word should have been.
func (p *parser) wrong(want string) error {
	switch {
	case len(p.words) > 0:
		return wrongWord(p.n+1, p.words[0], want)
	case p.n > 0:
		return fmt.Errorf("nothing after word %d %s: want %s", p.n, quote(p.last), want)
	default:
		return fmt.Errorf("nothing before the first \";\": want %s", want)
	}
}

func wrongWord(n int, word, want string) error {
	return fmt.Errorf("word %d %s: want %s", n, quote(word), want)
}

// quote quotes and shortens a word for an error.
func quote(s string) string {
	const limit = 80
	if len(s) > limit {
		return fmt.Sprintf("%q...", s[:limit])
	}
	return fmt.Sprintf("%q", s)
}

func (p *parser) rule() (rule, error) {
	r := rule{dirs: both}
	want := `peers that end with a colon and a space, as in "a,b: cut"`
	switch p.peek() {
	case "out":
		r.dirs = 1 << Out
		p.advance()
	case "in":
		r.dirs = 1 << In
		p.advance()
	case "both":
		p.advance()
	default:
		want = "out, in, both or " + want
	}
	peers, found := strings.CutSuffix(p.peek(), ":")
	if !found {
		return r, p.wrong(want)
	}
	for s := range strings.SplitSeq(peers, ",") {
		m, ok := parsePattern(s)
		if !ok {
			return r, wrongWord(p.n+1, s, wantPeer)
		}
		r.peers = append(r.peers, m)
	}
	p.advance()
	for {
		if err := p.fault(&r.faults); err != nil {
			return r, err
		}
		if len(p.words) == 0 {
			return r, p.check(&r.faults)
		}
	}
}
