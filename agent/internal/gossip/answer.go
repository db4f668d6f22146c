package gossip

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

const (
	// askInbox bounds the messages that wait to be read.
	askInbox = 64
	// askServing bounds the questions that are being answered at the same time.
	askServing = 8
	// askServeWait bounds the time that answering one question takes.
	askServeWait = 15 * time.Second
	// askBurst and askRate bound the questions of all others together: how many at
	// once, and how many per second. Each agent of a large flock asks the goose when
	// elections are founded.
	askBurst = 128
	askRate  = 64
)

// take gets messages from memberlist. It copies, and returns at once.
func (a *asker) take(b []byte) {
	if len(b) > maxMessage {
		a.drop("large")
		return
	}
	select {
	case a.inbox <- bytes.Clone(b):
	default:
		a.drop("full")
	}
}

// drop counts a message that is dropped.
func (a *asker) drop(why string) { a.g.opts.Counts.Of("dropped_ask_" + why).Add(1) }

// read takes messages one by one until gossip shuts down.
func (a *asker) read(ctx context.Context) {
	for {
		select {
		case b := <-a.inbox:
			a.open(b)
		case <-ctx.Done():
			return
		}
	}
}

// open checks one message. Its sender must be alive by gossip, and gets the
// answer at the address that gossip shows.
func (a *asker) open(b []byte) {
	var l message
	if err := json.Unmarshal(b, &l); err != nil || l.Version != messageVersion {
		a.drop("malformed")
		return
	}
	from, known := a.g.aliveByText(l.From)
	if !known || from.ID == a.g.opts.ID || l.To != a.g.opts.ID.String() || l.FlockID != a.g.flockID().String() {
		a.drop("stranger")
		return
	}
	if l.Question == "" {
		a.deliver(&l)
		return
	}
	if l.ToLife != a.g.opts.Meta.Life {
		a.drop("life")
		return
	}
	if !a.rate.take(time.Now()) {
		a.drop("rate")
		return
	}
	select {
	case a.serving <- struct{}{}:
	default:
		a.drop("busy")
		return
	}
	a.g.opts.Counts.Of("questions_answered").Add(1)
	if !a.g.Background(func(ctx context.Context) {
		defer func() { <-a.serving }()
		a.serve(ctx, from, &l)
	}) {
		<-a.serving
	}
}

// deliver hands an answer to its waiter.
func (a *asker) deliver(l *message) {
	a.mu.Lock()
	w := a.mu.waiting[l.Number]
	a.mu.Unlock()
	if w == nil || w.of != l.From {
		a.drop("late")
		return
	}
	select {
	case w.answers <- l:
	default:
		a.drop("late")
	}
}

// serve answers one question.
func (a *asker) serve(ctx context.Context, from member.Peer, q *message) {
	ctx, cancel := context.WithTimeout(ctx, askServeWait)
	defer cancel()
	out := a.messageTo(from)
	out.Number = q.Number
	body, err := a.answer(ctx, from.ID, q.Question, q.Body)
	if err != nil {
		out.Error = err.Error()
	}
	out.Body = body
	_ = a.send(nodeOf(from.ID.String(), from.Addr), out) // the asking side reports that no answer came
}

func (a *asker) answer(ctx context.Context, from election.ID, name string, body json.RawMessage) (json.RawMessage, error) {
	do := a.g.opts.Handlers[name]
	if name == relayQuestion {
		do = a.passOn
	}
	if do == nil {
		return nil, fmt.Errorf("this agent knows no question %.40q: it may be of an older version", name)
	}
	v, err := do(ctx, from, body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// relayAnswer is the answer to a question that was passed on.
type relayAnswer struct {
	Body    json.RawMessage `json:"body,omitempty"`
	Refused string          `json:"refused,omitempty"`
}

// passOn asks a third agent on behalf of the one that asked. A question is passed
// on only once.
func (a *asker) passOn(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var r relayed
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	to, known := a.g.aliveByText(r.To)
	if !known || to.ID == a.g.opts.ID || r.Question == relayQuestion {
		return nil, fmt.Errorf("it cannot be passed on to %.40q", r.To)
	}
	ctx, cancel := context.WithTimeout(ctx, AskWait)
	defer cancel()
	got, err := a.ask(ctx, to, r.Question, r.Body, "")
	answer := Reply{Body: got, Err: err}
	switch {
	case err == nil:
		return relayAnswer{Body: got}, nil
	case answer.answered():
		return relayAnswer{Refused: err.Error()}, nil
	}
	return nil, err
}

// bucket lets size pass at once, and perSecond after that. One goroutine uses it.
type bucket struct {
	size, perSecond float64
	used            float64
	at              time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.used = max(0, b.used-b.perSecond*now.Sub(b.at).Seconds())
	b.at = now
	if b.used+1 > b.size {
		return false
	}
	b.used++
	return true
}

// aliveByText is Alive for an id that another agent wrote.
func (g *Gossip) aliveByText(text string) (member.Peer, bool) {
	id, err := election.ParseID(text)
	if err != nil {
		return member.Peer{}, false
	}
	return g.Alive(id)
}

// Occupy makes this agent too busy to answer questions until free is called.
// Tests use it.
func (g *Gossip) Occupy() (free func()) {
	for range askServing {
		g.asks.serving <- struct{}{}
	}
	return func() {
		for range askServing {
			<-g.asks.serving
		}
	}
}
