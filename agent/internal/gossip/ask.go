package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/lead"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/port"
)

const (
	// maxMessage bounds a question or an answer, in bytes.
	maxMessage = 256 << 10
	// AskWait is how long an agent that was asked directly may take to answer.
	// After that others are asked to pass the question on.
	AskWait = 3 * time.Second
	// askRelays bounds those asked to pass a question on.
	askRelays = 2
	// askAtOnce bounds the agents that one question waits for at the same time.
	askAtOnce = 32
	// askSends bounds the streams that are written to at the same time.
	askSends = 64
	// relayQuestion asks an agent to pass a question on.
	relayQuestion = "relay"
)

// message is a question or an answer. It travels as a user message of
// memberlist, on a stream of its own, which the port seals.
type message struct {
	Version  int             `json:"v"`
	Number   uint64          `json:"n"` // of the question; its answer repeats it
	From     string          `json:"from"`
	To       string          `json:"to"`
	ToLife   uint64          `json:"life"` // the asked process: a recording means nothing to the next one
	FlockID  string          `json:"flock"`
	Question string          `json:"topic,omitempty"` // "": an answer
	Body     json.RawMessage `json:"body,omitempty"`
	Error    string          `json:"error,omitempty"` // the answer is a Refusal
}

const messageVersion = 1

// relayed is the body of a question to be passed on.
type relayed struct {
	To       string          `json:"to"`
	Question string          `json:"topic"`
	Body     json.RawMessage `json:"body"`
}

// Handler answers the questions of one name. It runs on a goroutine of its own.
type Handler func(ctx context.Context, from election.ID, body json.RawMessage) (any, error)

// Refusal is the error by which the asked agent refused a question.
type Refusal struct{ text string }

// Error returns the asked agent's own words.
func (r *Refusal) Error() string { return r.text }

// ErrUnsent says that a question could not be sent to the asked agent.
var ErrUnsent = errors.New("no stream to it")

// asker asks other agents questions, and answers theirs. Questions use the same
// network as everything else: an agent that this one cannot reach is asked
// through others that it can reach.
type asker struct {
	g       *Gossip
	sending chan struct{} // a slot for each stream being written to
	inbox   chan []byte   // what came
	serving chan struct{} // a slot for each question being answered
	rate    bucket        // belongs to the reader

	mu struct { // guards what follows
		sync.Mutex
		waiting map[uint64]*waiter
	}
}

// waiter waits for the answer of one agent.
type waiter struct {
	of      string
	answers chan *message // capacity 1
}

// Ask asks one agent and waits for its answer until ctx ends. The error is a
// [Refusal] if the agent refused, and [ErrUnsent] if it could not be reached.
func (g *Gossip) Ask(ctx context.Context, p member.Peer, question string, body any) (json.RawMessage, error) {
	return g.asks.ask(ctx, p, question, body, "")
}

// AskInFullPackets is Ask with packets of full size, which some paths lose. Other
// streams use smaller ones.
func (g *Gossip) AskInFullPackets(ctx context.Context, p member.Peer, question string, body any) (json.RawMessage, error) {
	return g.asks.ask(ctx, p, question, body, port.FullPackets)
}

func newAsker(g *Gossip) *asker {
	a := &asker{
		g: g, sending: make(chan struct{}, askSends), inbox: make(chan []byte, askInbox), serving: make(chan struct{}, askServing),
		rate: bucket{size: askBurst, perSecond: askRate},
	}
	a.mu.waiting = map[uint64]*waiter{}
	return a
}

// ask has memberlist open a stream to the agent. prefix tells the port how.
func (a *asker) ask(ctx context.Context, p member.Peer, question string, body any, prefix string) (json.RawMessage, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write the question: %w", err)
	}
	if p.ID == a.g.opts.ID {
		answer, err := a.answer(ctx, p.ID, question, text) // this agent itself: no stream is needed
		if err != nil {
			err = &Refusal{err.Error()}
		}
		return answer, err
	}
	w := &waiter{of: p.ID.String(), answers: make(chan *message, 1)}
	q := a.messageTo(p)
	q.Question, q.Body = question, text
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
	if !a.g.Background(func(context.Context) { sent <- a.send(nodeOf(prefix+p.ID.String(), p.Addr), q) }) {
		return nil, lead.ErrStopped
	}
	written := false
	for {
		select {
		case err := <-sent:
			switch {
			case err != nil && a.g.join.ctx.Err() != nil:
				return nil, lead.ErrStopped
			case err != nil:
				return nil, fmt.Errorf("%w: %w", ErrUnsent, err)
			}
			written, sent = true, nil
		case answer := <-w.answers:
			if answer.Error != "" {
				return nil, &Refusal{api.Printable(answer.Error)}
			}
			return answer.Body, nil
		case <-ctx.Done():
			if written {
				return nil, fmt.Errorf("it does not answer: %w", ctx.Err())
			}
			return nil, fmt.Errorf("%w: %w", ErrUnsent, ctx.Err())
		case <-a.g.join.ctx.Done():
			return nil, lead.ErrStopped
		}
	}
}

func (a *asker) messageTo(p member.Peer) *message {
	return &message{
		Version: messageVersion, From: a.g.opts.ID.String(), To: p.ID.String(), ToLife: p.Meta.Life, FlockID: a.g.flockID().String(),
	}
}

// send writes a message into a stream of its own. It may take as long as
// memberlist waits for a stream.
func (a *asker) send(to *memberlist.Node, l *message) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if len(b) > maxMessage {
		return fmt.Errorf("%d bytes: at most %d", len(b), maxMessage)
	}
	select {
	case a.sending <- struct{}{}:
	default:
		return fmt.Errorf("%d streams are being written to already", askSends)
	}
	defer func() { <-a.sending }()
	return a.g.list.SendReliable(to, b)
}

func nodeOf(name string, at netip.AddrPort) *memberlist.Node {
	return &memberlist.Node{Name: name, Addr: at.Addr().AsSlice(), Port: at.Port()}
}

// Reply is what one of several agents answered.
type Reply struct {
	member.Peer
	Body json.RawMessage
	Err  error
	Via  string // who passed the question on; "": asked directly
}

// Gather asks several agents at the same time. Those that do not answer are asked
// through some that do. A refusal is an answer. The replies are in the order of
// peers.
func (g *Gossip) Gather(ctx context.Context, peers []member.Peer, question string, body func(member.Peer) any) []Reply {
	a := g.asks
	replies := make([]Reply, len(peers))
	var asked sync.WaitGroup
	slots := make(chan struct{}, askAtOnce)
	for i, p := range peers {
		replies[i].Peer = p
		slots <- struct{}{}
		asked.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, AskWait)
			defer cancel()
			replies[i].Body, replies[i].Err = a.ask(ctx, p, question, body(p), "")
		})
	}
	asked.Wait()
	var relays []member.Peer
	for _, r := range replies {
		if r.answered() && r.ID != a.g.opts.ID {
			relays = append(relays, r.Peer)
		}
	}
	for i := range replies {
		if replies[i].answered() || replies[i].ID == a.g.opts.ID {
			continue
		}
		slots <- struct{}{}
		asked.Go(func() {
			defer func() { <-slots }()
			a.relay(ctx, relays, &replies[i], question, body(replies[i].Peer))
		})
	}
	asked.Wait()
	return replies
}

// answered reports whether the agent itself has said something.
func (r *Reply) answered() bool {
	var no *Refusal
	return r.Err == nil || errors.As(r.Err, &no)
}

// Read reads the answer into v.
func (r *Reply) Read(v any) error {
	if r.Err != nil {
		return r.Err
	}
	return json.Unmarshal(r.Body, v)
}

// relay asks through other agents. If no answer comes, r keeps the reason why the
// agent could not be asked directly.
func (a *asker) relay(ctx context.Context, relays []member.Peer, r *Reply, question string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		return
	}
	for _, via := range spread(relays) {
		var through relayAnswer
		ctx, cancel := context.WithTimeout(ctx, 2*AskWait)
		b, err := a.ask(ctx, via, relayQuestion, relayed{To: r.ID.String(), Question: question, Body: text}, "")
		cancel()
		if err != nil || json.Unmarshal(b, &through) != nil {
			continue
		}
		r.Via, r.Body, r.Err = via.Meta.Name, through.Body, nil
		if through.Refused != "" {
			r.Err = &Refusal{api.Printable(through.Refused)}
		}
		return
	}
}

// spread picks some relays at random: the same ones might fail every time.
func spread(relays []member.Peer) (some []member.Peer) {
	for _, i := range rand.Perm(len(relays))[:min(askRelays, len(relays))] {
		some = append(some, relays[i])
	}
	return some
}
