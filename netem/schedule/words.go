package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem"
	"duckduckgoose/netem/shape"
)

// Effects are where an agent may crash: any: after the next effect; write, sync: in the middle
// of it; save, send, grant, retract, publish: after it; settle-write: in the middle of writing
// the disk's second copy; settle: after that.
var Effects = []string{"any", "write", "sync", "save", "send", "grant", "retract", "publish", "settle-write", "settle"}

// verbs are the verbs of schedules.
var verbs = []Verb{
	{Name: "crash", Takes: "WHO [power] [for D]", Drawn: true, Who: true, check: oneOf("", "power"),
		Does: "the process is killed; with power the machine loses power too, and the disk loses what was not synced"},
	{Name: "crash-at", Takes: "WHO EFFECT [N] [power] [for D]", Drawn: true, Who: true, check: parses(ParseCrash),
		Does: "the process crashes at its next effect of that kind, or N such effects later: " + strings.Join(Effects, ", ")},
	{Name: "start", Takes: "WHO", Who: true,
		Does: "the process starts, on the disk that it had"},
	{Name: "stop", Takes: "WHO [for D]", Drawn: true, Who: true,
		Does: "SIGTERM: the agent ends its work, hands over and stops"},
	{Name: "pause", Takes: "WHO for D", Drawn: true, Who: true, check: needsFor,
		Does: "SIGSTOP: the process stands still, and datagrams to it wait"},
	{Name: "suspend", Takes: "WHO for D", Drawn: true, Who: true, check: needsFor,
		Does: "the machine sleeps: its boot clock runs, its monotonic clock stops, datagrams to it are lost"},
	{Name: "rate", Takes: "WHO PERCENT", Drawn: true, Who: true, check: parses(ParseRate),
		Does: "its clocks run too fast by PERCENT, from -1% to 1%"},
	{Name: "partition", Takes: "SHAPE [for D]", Drawn: true, check: parses(shape.Parse),
		Does: "groups a,b/c,d,e (an unnamed agent is alone), one-way cuts a>b, the only links left a-b,a-c, or by role: " + strings.Join(shape.Roles(), ", ")},
	{Name: "heal",
		Does: "the partition ends"},
	{Name: "flap", Takes: "EVERY for D", Drawn: true, check: checkFlap,
		Does: "every EVERY, each one-way link is cut or opened at random"},
	{Name: "netem", Takes: "WHO RULES [for D]", Drawn: true, Who: true, check: parses(netem.Parse),
		Does: "fault rules for its packets: see ddgoose netem set --help"},
	{Name: "clear", Takes: "WHO", Who: true,
		Does: "its fault rules end"},
	{Name: "disk", Takes: "WHO slow D|ok|fails", Drawn: true, Who: true, check: checkDisk,
		Does: "slow: each save takes up to D longer; fails: the next save fails and the agent stops; ok: neither"},
	{Name: "hold", Takes: "WHO N", Drawn: true, Who: true, check: upTo(9),
		Does: "N programs wait beside it, and work while it is the goose"},
	{Name: "finish", Takes: "WHO", Drawn: true, Who: true,
		Does: "its work ends by itself, and it steps down"},
	{Name: "step-down", Takes: "WHO [TO [ELECTION]]", Drawn: true, Who: true, goose: true, check: anyWord,
		Does: "ddgoose step-down, if it is the goose"},
	{Name: "mark", Takes: "WHO", Who: true,
		Does: "its marks are raised by one, if it is the goose; somebody does that every few seconds anyway"},
	{Name: "leave", Takes: "WHO [for D]", Drawn: true, Who: true,
		Does: "ddgoose leave; unless that is refused, it comes back after D as an observer"},
	{Name: "force-leave", Takes: "WHO", Drawn: true, wave: 2, Who: true,
		Does: "ddgoose force-leave, on the goose"},
	{Name: "wipe", Takes: "WHO [for D]", Drawn: true, Who: true,
		Does: "the machine crashes and loses its disk; left out if the flock would lose its majority or all voters that may lead"},
	{Name: "move", Takes: "WHO", Drawn: true, Who: true,
		Does: "its address changes"},
	{Name: "unwell", Takes: "WHO [for D]", Drawn: true, wave: 3, Who: true,
		Does: "the check of its work fails: it hands over and does not campaign"},
	{Name: "well", Takes: "WHO", Drawn: true, wave: 3, Who: true,
		Does: "the check of its work passes again"},
	{Name: "slow", Takes: "LINKS D [for D]", Drawn: true, wave: 1, check: checkSlow,
		Does: "packets take D longer, at most 2s, on * or on links a>b,b-c; 0s ends it"},
	{Name: "freeze", Takes: "WHO for D", Drawn: true, wave: 1, Who: true, check: needsFor,
		Does: "ddgoose freeze: no planned hand-over without --force, and only failed voters are replaced"},
	{Name: "thaw", Takes: "WHO", Drawn: true, wave: 1, Who: true,
		Does: "ddgoose thaw"},
	{Name: "priority", Takes: "WHO N", Drawn: true, wave: 1, Who: true, check: upTo(255),
		Does: "its settings get priority N and are reloaded"},
	{Name: "hand-over", Takes: "EVERY for D", Drawn: true, wave: 1, check: checkFlap,
		Does: "every EVERY, each goose is told to step down"},
	{Name: "replay", Takes: "WHO for D", Drawn: true, wave: 1, Who: true, check: needsFor,
		Does: "the datagrams of the last D reach it again"},
	{Name: "forge", Takes: "WHO reject|vote|beat N|last", Drawn: true, wave: 2, Who: true, check: checkForge,
		Does: "somebody with the key replaces the next datagram to it by a message of a term N ahead, or of the last term (beat: last only)"},
	{Name: "clone", Takes: "WHO NAME", Who: true, check: anyWord,
		Does: "it restarts, and a copy of its disk runs on machine NAME too"},
	{Name: "die", Takes: "WHO for D", Real: true, Who: true, check: needsFor,
		Does: "ddgoose simulate death: it neither sends nor hears anything for D"},
	{Name: "pause-writer", Takes: "WHO for D", Real: true, Who: true, goose: true, check: needsFor,
		Does: "SIGSTOP to the process that works for this goose"},
	{Name: "kill-writer", Takes: "WHO", Real: true, Who: true, goose: true,
		Does: "SIGKILL to the process that works for this goose; another one starts"},
	{Name: "recover", Takes: "A,B [for D]", Drawn: true, wave: 2, check: anyWord,
		Does: "all stop; ddgoose recover sets the named agents as voters, and they start; the others start after D, on empty disks"},
	{Name: "due", Takes: "D", check: checkDue,
		Does: "from now on there must be a goose within D, and again within D whenever it is lost"},
	{Name: "excuse",
		Does: "from now on there need be no goose"},
	{Name: "expect", Takes: "goose [WHO]|none|voters A B|term same|flocks N|told WORD|leads WHO ELECTION", check: checkExpect,
		Does: "what must be true at this moment"},
}

// The checks of a verb's arguments.

func oneOf(words ...string) func(*Op) error {
	return func(o *Op) error {
		if !slices.Contains(words, o.What) {
			return fmt.Errorf("%q: want one of %q", o.What, words)
		}
		return nil
	}
}

func anyWord(*Op) error { return nil }

func parses[T any](parse func(string) (T, error)) func(*Op) error {
	return func(o *Op) error {
		_, err := parse(o.What)
		return err
	}
}

func upTo(most uint64) func(*Op) error {
	return func(o *Op) error {
		if n, err := strconv.ParseUint(o.What, 10, 64); err != nil || n > most {
			return fmt.Errorf("%q: want a number from 0 to %d", o.What, most)
		}
		return nil
	}
}

func needsFor(o *Op) error {
	if o.For <= 0 || o.What != "" {
		return fmt.Errorf("want only WHO and an end: for D")
	}
	return nil
}

// ParseRate reads a percentage and returns it in parts per million.
func ParseRate(text string) (int64, error) {
	number, ok := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || f < -1 || f > 1 {
		return 0, fmt.Errorf("rate %q: want a percentage from -1%% to 1%%", text)
	}
	return int64(f * 10_000), nil
}

// Crash is a parsed "EFFECT [N] [power]".
type Crash struct {
	At    string // of Effects
	More  int
	Power bool
}

// ParseCrash reads the arguments of crash-at.
func ParseCrash(text string) (c Crash, err error) {
	words := strings.Fields(text)
	bad := fmt.Errorf("%q: want one of %q, then optionally a number, then optionally power", text, Effects)
	if len(words) == 0 || !slices.Contains(Effects, words[0]) {
		return c, bad
	}
	c.At, words = words[0], words[1:]
	if len(words) > 0 && words[0] != "power" {
		if c.More, err = strconv.Atoi(words[0]); err != nil || c.More < 0 {
			return c, bad
		}
		words = words[1:]
	}
	if c.Power = len(words) == 1 && words[0] == "power"; len(words) > 0 && !c.Power {
		return c, bad
	}
	return c, nil
}

// ParseForge reads "KIND N" or "KIND last".
func ParseForge(text string) (kind election.Kind, ahead uint64, err error) {
	word, much, _ := strings.Cut(text, " ")
	kind, known := map[string]election.Kind{"reject": election.Reject, "vote": election.VoteRequest, "beat": election.Heartbeat}[word]
	if ahead = election.MaxTerm; much != "last" {
		ahead, err = strconv.ParseUint(much, 10, 8)
	}
	if !known || err != nil || kind == election.Heartbeat && much != "last" {
		return kind, ahead, fmt.Errorf("%q: want reject|vote and how far ahead its term is, at most 255, or reject|vote|beat last", text)
	}
	return kind, ahead, nil
}

// slowest bounds the delay of a slow link.
const slowest = 2 * time.Second

// ParseSlow reads "LINKS D".
func ParseSlow(text string) (links func(from, to string) bool, d time.Duration, err error) {
	on, much, _ := strings.Cut(text, " ")
	if d, err = time.ParseDuration(much); err != nil || d < 0 || d > slowest {
		return nil, 0, fmt.Errorf("%q: want a duration from 0s to %v", much, slowest)
	}
	if on == "*" {
		return func(string, string) bool { return true }, d, nil
	}
	pairs := map[[2]string]bool{}
	for link := range strings.SplitSeq(on, ",") {
		i := strings.IndexAny(link, ">-")
		if i < 1 || i == len(link)-1 {
			return nil, 0, fmt.Errorf("link %q: want a>b or a-b", link)
		}
		pairs[[2]string{link[:i], link[i+1:]}] = true
		if link[i] == '-' {
			pairs[[2]string{link[i+1:], link[:i]}] = true
		}
	}
	return func(from, to string) bool { return pairs[[2]string{from, to}] }, d, nil
}

func checkSlow(o *Op) error {
	_, _, err := ParseSlow(o.What)
	return err
}

func checkForge(o *Op) error {
	_, _, err := ParseForge(o.What)
	return err
}

func checkFlap(o *Op) error {
	every, err := time.ParseDuration(o.What)
	if err != nil || every <= 0 || o.For <= 0 {
		return fmt.Errorf("want EVERY for D, both above 0s")
	}
	return nil
}

func checkDisk(o *Op) error {
	word, arg, _ := strings.Cut(o.What, " ")
	d, err := time.ParseDuration(arg)
	switch {
	case word == "slow" && err == nil && d > 0, o.What == "ok", o.What == "fails":
		return nil
	}
	return fmt.Errorf("%q: want slow D, ok or fails", o.What)
}

func checkDue(o *Op) error {
	if d, err := time.ParseDuration(o.What); err != nil || d <= 0 {
		return fmt.Errorf("%q: want a duration above 0s", o.What)
	}
	return nil
}

func checkExpect(o *Op) error {
	word, arg, _ := strings.Cut(o.What, " ")
	_, err := strconv.Atoi(arg)
	switch {
	case word == "goose", o.What == "none", word == "told" && arg != "", word == "leads" && arg != "", word == "voters" && arg != "", o.What == "term same", word == "flocks" && err == nil:
		return nil
	}
	return fmt.Errorf("%q: want one of goose, none, voters, term same, flocks, told, leads", o.What)
}
