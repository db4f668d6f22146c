package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

const (
	// askMost bounds a question or answer, in bytes.
	askMost = 256 << 10
	// askWait is how long an agent that was asked directly may take to answer;
	// then others are asked to pass the question on.
	askWait = 3 * time.Second
	// askRelays bounds those asked to pass a question on.
	askRelays = 2
	// askAtOnce bounds the agents that one question waits for at the same time.
	askAtOnce = 32
	// askSends bounds the streams that are written to at the same time.
	askSends = 64
	// relayTopic asks an agent to pass a question on.
	relayTopic = "relay"
)

// letter is a question or an answer: a user message of memberlist's, which
// seals it and checks the label, on a stream of its own.
type letter struct {
	Version int             `json:"v"`
	Number  uint64          `json:"n"` // of the question; its answer repeats it
	From    string          `json:"from"`
	To      string          `json:"to"`
	FlockID string          `json:"flock"`
	Topic   string          `json:"topic,omitempty"` // "": an answer
	Body    json.RawMessage `json:"body,omitempty"`
	Error   string          `json:"error,omitempty"` // the answer is a refusal
}

const letterVersion = 1

// relayed is the body of a question to be passed on.
type relayed struct {
	To    string          `json:"to"`
	Topic string          `json:"topic"`
	Body  json.RawMessage `json:"body"`
}

// topic answers the questions of one kind. It runs on a goroutine of its own.
type topic func(ctx context.Context, from election.ID, body json.RawMessage) (any, error)

// refusal is what the asked agent says against a question.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// errUnsent says that a question found no way to the asked agent.
var errUnsent = errors.New("no stream to it")

// asker asks other agents questions, and answers theirs. Streams carry them, so
// what cuts the network cuts them; an agent that this one cannot reach is asked
// through another that it can.
type asker struct {
	g       *gossip
	sending chan struct{} // a slot for each stream being written to
	inbox   chan []byte
	serving chan struct{} // a slot for each question being answered
	rate    bucket        // the reader's

	mu struct { // guards what follows
		sync.Mutex
		waiting map[uint64]*waiter
	}
}

// waiter waits for the answer of one agent.
type waiter struct {
	of      string
	answers chan *letter // capacity 1
}

func newAsker(g *gossip) *asker {
	a := &asker{
		g: g, sending: make(chan struct{}, askSends), inbox: make(chan []byte, askInbox), serving: make(chan struct{}, askServing),
		rate: bucket{size: askBurst, perSecond: askRate},
	}
	a.mu.waiting = map[uint64]*waiter{}
	return a
}

// ask asks one agent, and waits for its answer until ctx ends.
func (a *asker) ask(ctx context.Context, p peer, topic string, body any) (json.RawMessage, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write the question: %w", err)
	}
	if p.ID == a.g.opts.ID {
		return a.askSelf(ctx, topic, text)
	}
	w := &waiter{of: p.ID.String(), answers: make(chan *letter, 1)}
	q := a.letterTo(p.ID)
	q.Topic, q.Body = topic, text
	a.mu.Lock()
	for q.Number = rand.Uint64(); a.mu.waiting[q.Number] != nil; q.Number = rand.Uint64() {
	}
	a.mu.waiting[q.Number] = w
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.mu.waiting, q.Number)
		a.mu.Unlock()
	}()
	sent := make(chan error, 1)
	if !a.g.join.background(func(context.Context) { sent <- a.send(p, q) }) {
		return nil, ErrStopped
	}
	written := false
	for {
		select {
		case err := <-sent:
			switch {
			case err != nil && a.g.join.ctx.Err() != nil:
				return nil, ErrStopped
			case err != nil:
				return nil, fmt.Errorf("%w: %w", errUnsent, err)
			}
			written, sent = true, nil
		case answer := <-w.answers:
			if answer.Error != "" {
				return nil, &refusal{answer.Error}
			}
			return answer.Body, nil
		case <-ctx.Done():
			if written {
				return nil, fmt.Errorf("it does not answer: %w", ctx.Err())
			}
			return nil, fmt.Errorf("%w: %w", errUnsent, ctx.Err())
		case <-a.g.join.ctx.Done():
			return nil, ErrStopped
		}
	}
}

// askSelf answers as others do, without a stream.
func (a *asker) askSelf(ctx context.Context, topic string, body json.RawMessage) (json.RawMessage, error) {
	answer, err := a.answer(ctx, a.g.opts.ID, topic, body)
	if err != nil {
		return nil, &refusal{err.Error()}
	}
	return answer, nil
}

func (a *asker) letterTo(to election.ID) *letter {
	return &letter{Version: letterVersion, From: a.g.opts.ID.String(), To: to.String(), FlockID: a.g.flockID().String()}
}

// send writes a letter into a stream of its own. It may take as long as
// memberlist waits for a stream.
func (a *asker) send(p peer, l *letter) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if len(b) > askMost {
		return fmt.Errorf("%d bytes: at most %d", len(b), askMost)
	}
	select {
	case a.sending <- struct{}{}:
	default:
		return fmt.Errorf("%d streams are being written to already", askSends)
	}
	defer func() { <-a.sending }()
	return a.g.list.SendReliable(nodeOf(p.ID, p.Addr), b)
}

func nodeOf(id election.ID, at netip.AddrPort) *memberlist.Node {
	return &memberlist.Node{Name: id.String(), Addr: at.Addr().AsSlice(), Port: at.Port()}
}

// reply is what one of many agents answered.
type reply struct {
	peer
	Body json.RawMessage
	Err  error
	Via  string // who passed the question on; "": asked directly
}

// gather asks many agents at the same time, and those that do not answer
// through some that do. A refusal is an answer. The replies are in order of peers.
func (a *asker) gather(ctx context.Context, peers []peer, topic string, body func(peer) any) []reply {
	replies := make([]reply, len(peers))
	var asked sync.WaitGroup
	slots := make(chan struct{}, askAtOnce)
	for i, p := range peers {
		replies[i].peer = p
		slots <- struct{}{}
		asked.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, askWait)
			defer cancel()
			replies[i].Body, replies[i].Err = a.ask(ctx, p, topic, body(p))
		})
	}
	asked.Wait()
	var relays []peer
	for _, r := range replies {
		if r.answered() && r.ID != a.g.opts.ID {
			relays = append(relays, r.peer)
		}
	}
	for i := range replies {
		if replies[i].answered() || replies[i].ID == a.g.opts.ID {
			continue
		}
		slots <- struct{}{}
		asked.Go(func() {
			defer func() { <-slots }()
			a.relay(ctx, relays, &replies[i], topic, body(replies[i].peer))
		})
	}
	asked.Wait()
	return replies
}

// answered tells whether the agent itself has said something.
func (r *reply) answered() bool {
	var no *refusal
	return r.Err == nil || errors.As(r.Err, &no)
}

// read reads the answer into v.
func (r *reply) read(v any) error {
	if r.Err != nil {
		return r.Err
	}
	return json.Unmarshal(r.Body, v)
}

// relay asks through others. r keeps why it could not be asked directly, unless
// it answers.
func (a *asker) relay(ctx context.Context, relays []peer, r *reply, topic string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		return
	}
	for _, via := range spread(relays, r.ID) {
		var through relayAnswer
		ctx, cancel := context.WithTimeout(ctx, 2*askWait)
		b, err := a.ask(ctx, via, relayTopic, relayed{To: r.ID.String(), Topic: topic, Body: text})
		cancel()
		if err != nil || json.Unmarshal(b, &through) != nil {
			continue
		}
		r.Via, r.Body, r.Err = via.Meta.Name, through.Body, nil
		if through.Refused != "" {
			r.Err = &refusal{through.Refused}
		}
		return
	}
}

// spread picks some relays, not the same for everybody.
func spread(relays []peer, id election.ID) []peer {
	if len(relays) == 0 {
		return nil
	}
	at := int(id[0]) % len(relays)
	turned := append(slices.Clone(relays[at:]), relays[:at]...)
	return turned[:min(askRelays, len(turned))]
}

// flockID is the flock that this agent tells the others it is of.
func (g *gossip) flockID() election.FlockID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.own.FlockID
}

// alivePeer gives an agent that is alive by gossip.
func (g *gossip) alivePeer(id string) (peer, bool) {
	parsed, err := election.ParseID(id)
	if err != nil {
		return peer{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.mu.peers[parsed]
	if p == nil || p.State != api.StateAlive {
		return peer{}, false
	}
	return *p, true
}
