package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// host carries out the effects of a life's member.
type host struct{ l *life }

var _ member.Host = host{}

func (h host) Now() time.Duration { return h.l.now() }

// Save makes the state durable. An error ends the agent, because a failed sync cannot
// be repeated.
func (h host) Save(st store.State) error {
	start := time.Now()
	if err := h.l.disk.Save(st); err != nil {
		return h.failed(err)
	}
	h.l.meters.NoteSave(time.Since(start))
	return nil
}

func (h host) Settle() error {
	if err := h.l.disk.Settle(); err != nil {
		return h.failed(err)
	}
	return nil
}

func (h host) failed(err error) error {
	return fmt.Errorf("save to %s: %w: this agent can no longer vote or lead, and stops", h.l.cfg.DataDir, err)
}

func (h host) Send(to netip.AddrPort, f *wire.Frame) (taken int) {
	l := h.l
	body, taken, err := wire.AppendMost(l.body[:0], f)
	if err != nil {
		l.notSent(to, err)
		return max(taken, 1)
	}
	for i := range f.Messages[:taken] {
		if msg := &f.Messages[i]; msg.Election == 0 {
			l.paths.Sent(&msg.Message)
		}
	}
	if l.batch.full() {
		h.Flush()
	}
	sealed, err := l.keys.Load().Seal(l.batch.room(), body)
	if err != nil {
		l.notSent(to, err)
		return taken
	}
	l.sent.Add(1)
	l.sentBytes.Add(uint64(len(sealed)))
	l.counts.Traffic.Count(meters.Sent, f, len(sealed))
	l.batch.add(sealed, to)
	return taken
}

func (h host) Flush() { h.l.batch.flush(h.l.net) }

func (l *life) notSent(to netip.AddrPort, err error) {
	l.sendErrors.Add(1)
	l.quiet.Warn("send "+to.String(), "datagram not sent", "to", to, "error", err)
}

// Local returns the programs that follow an election, tied to this life.
func (h host) Local(name string) member.Local {
	at := h.l.localOf(name)
	at.l, at.shown, at.shownOnce = h.l, member.View{}, false
	at.succession.begin(h.l.now())
	at.chronicle.begin()
	return at
}

func (h host) TellGossip(meta member.Meta) {
	if meta.Left {
		h.l.gossip.Leave(leaveTold)
		return
	}
	meta.Settled = h.l.name.settled
	if err := h.l.gossip.SetMeta(meta); err != nil {
		h.l.problem(err.Error())
	}
}

// leaveTold is how long a leaving agent waits until the others have heard of it.
const leaveTold = 2 * time.Second

func (h host) MarkLeft(id election.ID) { h.l.gossip.MarkLeft(id) }

// tablesQuestion asks an agent for its table of elections, and says which elections this agent contests.
const tablesQuestion = "elections"

// AskTable asks another agent on a stream. The answer comes through the loop.
func (h host) AskTable(to election.ID, q member.TableQuestion, then func(*member.TableAnswer)) {
	l := h.l
	p, ok := l.peerAlive(to)
	if !ok || !l.gossip.Background(func(over context.Context) {
		answer := l.askTable(over, p, q)
		_ = l.do(over, func(now *life) error { // fails only when the life has ended
			if now == l {
				then(answer)
			}
			return nil
		})
	}) {
		then(nil)
	}
}

func (l *life) askTable(over context.Context, p member.Peer, q member.TableQuestion) *member.TableAnswer {
	ctx, cancel := context.WithTimeout(over, gossip.AskWait)
	defer cancel()
	body, err := l.gossip.Ask(ctx, p, tablesQuestion, q)
	if err != nil {
		return nil
	}
	var answer member.TableAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil
	}
	return &answer
}

// answerTable answers with the table, and takes the names that the other agent contests.
func (a *Agent) answerTable(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var q member.TableQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	return look(ctx, a, func(l *life) (member.TableAnswer, error) { return l.member.AnswerTable(q), nil })
}

func (h host) Heard(number uint64, msg *election.Message) {
	if number == 0 {
		h.l.paths.Received(msg)
		h.l.main.succession.heard(msg)
	}
}

func (h host) Count(counter string) { h.l.counts.Of(counter).Add(1) }
