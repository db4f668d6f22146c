package election

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected output in testdata; a person reads the diff")

// TestStories replays the text stories in testdata: comments, then a command,
// then "----" and what it led to.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			got := (&story{t: t}).replay(string(text))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(text), got, "run with -rewrite and read the diff")
		})
	}
}

// story drives a cluster by commands.
type story struct {
	t    testing.TB
	c    *cluster
	told map[string]int // events already printed, by agent
}

// replay runs every block and gives the text with the outputs that came.
func (s *story) replay(text string) string {
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		head, _, _ := strings.Cut(block, "\n----")
		out.WriteString(head + "\n")
		for _, line := range strings.Split(head, "\n") {
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			s.command(strings.Fields(line))
		}
		if s.c != nil {
			out.WriteString("----\n" + s.news() + s.table())
		}
		out.WriteString("\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func (s *story) command(w []string) {
	c := s.c
	switch w[0] {
	case "agents":
		s.c, s.told = newCluster(s.t, w[1:]...), map[string]int{}
	case "observer":
		c.add(w[1], Record{FlockID: testFlock, PromiseMax: 500 * time.Millisecond}, true)
	case "run":
		d, err := time.ParseDuration(w[1])
		require.NoError(s.t, err)
		c.run(d)
	case "kill":
		c.kill(w[1])
	case "restart":
		c.restart(w[1])
	case "cut", "open": // a b: both ways; a>b: one way
		for _, l := range w[1:] {
			if from, to, ok := strings.Cut(l, ">"); ok {
				c.cut[[2]string{from, to}] = w[0] == "cut"
			} else {
				from, to, _ := strings.Cut(l, "-")
				c.link(w[0] == "open", from, to)
			}
		}
	case "isolate":
		for _, other := range c.order {
			c.link(false, w[1], other)
		}
	case "heal":
		c.cut, c.drop = map[[2]string]bool{}, nil
	case "lose": // a kind of message
		c.drop = func(m *Message) bool { return m.Kind.String() == w[1] }
	case "timeout":
		c.nodes[w[1]].node.promise.End = c.now
		c.nodes[w[1]].node.electAt = c.now
		s.do(w[1], Tick{})
	case "step-down":
		in := StepDown{}
		if len(w) > 2 {
			in.To = idOf(w[2])
		}
		s.do(w[1], in)
	case "stop":
		s.do(w[1], StepDown{Stop: true})
	case "observe":
		s.do(w[1], Observe{ID: idOf(w[2])})
	case "add":
		s.do(w[1], Change{Voter: Voter{idOf(w[2]), 100}})
	case "witness":
		s.do(w[1], Change{Voter: Voter{idOf(w[2]), 0}})
	case "remove":
		s.do(w[1], Change{Voter: Voter{ID: idOf(w[2])}, Remove: true})
	case "hold":
		s.do(w[1], Holders{Attached: true})
	case "drained":
		s.do(w[1], Holders{Attached: false})
		s.do(w[1], Drained{})
	case "suspend":
		s.do(w[1], ClockJump{})
	default:
		require.Fail(s.t, "unknown command", "%q", w[0])
	}
}

func (s *story) do(name string, in Input) {
	if err := s.c.step(name, in); err != nil {
		s.c.nodes[name].log = append(s.c.nodes[name].log, Event{})
		s.c.nodes[name].refusals = append(s.c.nodes[name].refusals, err.Error())
	}
}

// news tells the events since the last block.
func (s *story) news() string {
	var b strings.Builder
	for _, name := range s.c.order {
		m := s.c.nodes[name]
		for _, e := range m.log[s.told[name]:] {
			switch {
			case e.Kind == 0:
				fmt.Fprintf(&b, "%s: refused: %s\n", name, m.refusals[0])
				m.refusals = m.refusals[1:]
			case e.Peer.IsZero():
				fmt.Fprintf(&b, "%s: %v at term %d\n", name, e.Kind, e.Term)
			default:
				fmt.Fprintf(&b, "%s: %v %s at term %d\n", name, e.Kind, nameOf(e.Peer), e.Term)
			}
		}
		s.told[name] = len(m.log)
	}
	return b.String()
}

func (s *story) table() string {
	var b strings.Builder
	for _, name := range s.c.order {
		m := s.c.nodes[name]
		n := &m.node
		if m.down {
			fmt.Fprintf(&b, "%s  dead\n", name)
			continue
		}
		role := n.role.String()
		if n.lease.Until > s.c.now {
			role = "GOOSE"
		}
		voters := ""
		for _, v := range n.rec.Config.Members() {
			voters += nameOf(v.ID)
			if v.Priority == 0 {
				voters += "(0)"
			}
		}
		fmt.Fprintf(&b, "%s  %-12s term %d  vote %-1s  leader %-1s  config %d.%d %s\n", name, role, n.rec.Term,
			dash(nameOf(n.rec.Vote)), dash(nameOf(n.leader)), n.rec.Config.Term, n.rec.Config.Version, dash(voters))
	}
	return b.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
