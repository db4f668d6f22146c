package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"duckduckgoose/agent/election"
)

const (
	// askInbox bounds the letters that wait to be read.
	askInbox = 64
	// askServing bounds the questions being answered.
	askServing = 8
	// askServeWait bounds the answering of one.
	askServeWait = 15 * time.Second
	// askBurst and askRate bound the questions of all others together, at once
	// and per second.
	askBurst = 128
	askRate  = 16
)

// take is called by memberlist with what came: it copies and returns.
func (a *asker) take(b []byte) {
	if len(b) > askMost {
		a.drop("large")
		return
	}
	select {
	case a.inbox <- bytes.Clone(b):
	default:
		a.drop("full")
	}
}

// drop counts what came and is not taken.
func (a *asker) drop(why string) { a.g.opts.Counts.Of("dropped_ask_" + why).Add(1) }

// read takes letters one by one until the life ends.
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

// open looks at one letter. Whoever it is from must be alive by gossip, and
// gets the answer where gossip says that it is.
func (a *asker) open(b []byte) {
	var l letter
	if err := json.Unmarshal(b, &l); err != nil || l.Version != letterVersion {
		a.drop("malformed")
		return
	}
	from, known := a.g.alivePeer(l.From)
	if !known || from.ID == a.g.opts.ID || l.To != a.g.opts.ID.String() || l.FlockID != a.g.flockID().String() {
		a.drop("stranger")
		return
	}
	if l.Topic == "" {
		a.deliver(&l)
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
	if !a.g.join.background(func(ctx context.Context) {
		defer func() { <-a.serving }()
		a.serve(ctx, from, &l)
	}) {
		<-a.serving
	}
}

// deliver hands an answer to the one who waits for it.
func (a *asker) deliver(l *letter) {
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
func (a *asker) serve(ctx context.Context, from peer, q *letter) {
	ctx, cancel := context.WithTimeout(ctx, askServeWait)
	defer cancel()
	out := a.letterTo(from.ID)
	out.Number = q.Number
	body, err := a.answer(ctx, from.ID, q.Topic, q.Body)
	if err != nil {
		out.Error = err.Error()
	}
	out.Body = body
	_ = a.send(from, out) // the asker waits for so long and no longer, and says that no answer came
}

func (a *asker) answer(ctx context.Context, from election.ID, name string, body json.RawMessage) (json.RawMessage, error) {
	do := a.g.opts.Topics[name]
	if name == relayTopic {
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

// relayAnswer is what came back for a question that was passed on.
type relayAnswer struct {
	Body    json.RawMessage `json:"body,omitempty"`
	Refused string          `json:"refused,omitempty"`
}

// passOn asks for another, once: what is passed on is not passed on again.
func (a *asker) passOn(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var r relayed
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	to, known := a.g.alivePeer(r.To)
	if !known || to.ID == a.g.opts.ID || r.Topic == relayTopic {
		return nil, fmt.Errorf("it cannot be passed on to %.40q", r.To)
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	got, err := a.ask(ctx, to, r.Topic, r.Body)
	answer := reply{Body: got, Err: err}
	switch {
	case err == nil:
		return relayAnswer{Body: got}, nil
	case answer.answered():
		return relayAnswer{Refused: err.Error()}, nil
	}
	return nil, err
}

// bucket lets so many pass at once, and so many a second. One goroutine uses it.
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
