// Package checkup gathers the facts for package doctor: it asks the agents of a
// flock to measure their paths to each other, and answers when others ask.
package checkup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/doctor"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/member"
)

const (
	measureQuestion = "measure" // begin to measure
	checkupQuestion = "checkup" // report what was measured
	pingQuestion    = "ping"    // tries a stream

	// straggler is how long Examine waits for the answers to the last probes.
	straggler = time.Second
	// streamWait bounds the wait for an answer on a stream. Streams begin in the
	// first half of a measurement, so all of them end before Examine collects.
	streamWait = 1200 * time.Millisecond
	// pingLarge, in bytes, needs more than two packets of full size.
	pingLarge = 3000
)

// measurement is the body of both questions.
type measurement struct {
	Session uint64        `json:"session"`
	For     time.Duration `json:"for_ns"`
}

// Examiner examines the flock from one agent. Its methods are safe for many goroutines.
type Examiner struct{ agent Agent }

// Agent is the agent that this package works for.
type Agent interface {
	Members(context.Context) (Members, error)
	// OnLoop runs f on the agent's loop and waits for it.
	OnLoop(ctx context.Context, f func(*Prober)) error
	// Report returns how this agent is, with what it has measured in a session.
	Report(ctx context.Context, session uint64) (doctor.Report, error)
}

// Members is the flock as this agent knows it at one moment.
type Members struct {
	Gossip *gossip.Gossip
	Self   election.ID
	Live   []member.Peer // by name, this agent included
	Absent []member.Peer // failed ones, and voters that gossip has forgotten
}

// New makes the examiner of an agent.
func New(a Agent) *Examiner { return &Examiner{a} }

// Handlers answer the questions that other agents ask.
func (e *Examiner) Handlers() map[string]gossip.Handler {
	return map[string]gossip.Handler{
		measureQuestion: e.answerMeasure,
		checkupQuestion: e.answerCheckup,
		pingQuestion:    func(context.Context, election.ID, json.RawMessage) (any, error) { return struct{}{}, nil },
	}
}

// Examine has every live agent measure its paths to the others for d and tell
// how it is. It takes d and some seconds, more where agents do not answer.
func (e *Examiner) Examine(ctx context.Context, d time.Duration) (api.Doctor, error) {
	r, err := e.agent.Members(ctx)
	if err != nil {
		return api.Doctor{}, err
	}
	m := measurement{Session: rand.Uint64(), For: d}
	same := func(member.Peer) any { return m }
	r.Gossip.Gather(ctx, r.Live, measureQuestion, same)
	pause := time.NewTimer(d + straggler) // from the last one's start, at the latest
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return api.Doctor{}, ctx.Err()
	}
	flock := doctor.Flock{Measured: d}
	for _, reply := range r.Gossip.Gather(ctx, r.Live, checkupQuestion, same) {
		p := doctor.Agent{ID: reply.ID.String(), Name: reply.Meta.Name, Addr: reply.Addr.String(), State: reply.State.String(), Via: reply.Via}
		var report doctor.Report
		if err := reply.Read(&report); err != nil {
			p.Error, p.Unreached = err.Error(), errors.Is(err, gossip.ErrUnsent)
		} else {
			p.Report = &report
		}
		if reply.ID == r.Self {
			flock.Self = p.ID
		}
		flock.Agents = append(flock.Agents, p)
	}
	for _, p := range r.Absent {
		flock.Agents = append(flock.Agents, doctor.Agent{ID: p.ID.String(), Name: p.Meta.Name, Addr: p.AddrText(), State: p.State.String()})
	}
	slices.SortFunc(flock.Agents, func(a, b doctor.Agent) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return doctor.Examine(flock), nil
}

// answerMeasure starts a measurement and returns before it ends.
func (e *Examiner) answerMeasure(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var m measurement
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	if m.For < time.Second || m.For > api.DoctorForMost {
		return nil, fmt.Errorf("measure for %v: want 1s to %v", m.For, api.DoctorForMost)
	}
	var err error
	if loop := e.agent.OnLoop(ctx, func(p *Prober) {
		known := p.runs[m.Session] != nil
		switch {
		case !p.measure(m.Session):
			err = fmt.Errorf("%d measurements are under way already", MaxRuns)
		case !known:
			peers := p.streamTargets(m.Session)
			p.gossip.Background(func(ctx context.Context) { e.sendProbes(ctx, m) })
			p.gossip.Background(func(ctx context.Context) { e.tryStreams(ctx, m, p.gossip, peers) })
		}
	}); loop != nil {
		return nil, loop
	}
	return struct{}{}, err
}

// sendProbes spreads the probes evenly over the measurement.
func (e *Examiner) sendProbes(ctx context.Context, m measurement) {
	ticker := time.NewTicker(m.For / Probes)
	defer ticker.Stop()
	for more := true; more; {
		if err := e.agent.OnLoop(ctx, func(p *Prober) { more = p.probe(m.Session) }); err != nil {
			return // the life has ended, and the measurement with it
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// streamTargets returns the agents that a measurement covers.
func (p *Prober) streamTargets(session uint64) (peers []member.Peer) {
	for _, t := range p.runs[session].targets {
		if q, ok := p.gossip.Alive(t.id); ok {
			peers = append(peers, q)
		}
	}
	return peers
}

// tryStreams asks one agent after another a question on a stream, within the first
// half of the measurement. Each agent begins with the one after it in the list, so
// that no agent gets the questions of all others at once.
func (e *Examiner) tryStreams(ctx context.Context, m measurement, g *gossip.Gossip, peers []member.Peer) {
	if len(peers) == 0 {
		return
	}
	ticker := time.NewTicker(m.For / 2 / time.Duration(len(peers)))
	defer ticker.Stop()
	var tried sync.WaitGroup
	defer tried.Wait()
	for _, p := range peers {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		tried.Go(func() {
			patience, cancel := context.WithTimeout(ctx, streamWait)
			defer cancel()
			state := tryStream(patience, g, p)
			_ = e.agent.OnLoop(ctx, func(own *Prober) { own.bookStream(m.Session, p.ID, state) }) // fails only when this life has ended
		})
	}
}

// tryStream asks a small question, then one that takes several packets of full
// size: some paths lose only those. Our streams normally use shorter packets.
func tryStream(ctx context.Context, g *gossip.Gossip, p member.Peer) string {
	var no *gossip.Refusal
	_, err := g.Ask(ctx, p, pingQuestion, struct{}{})
	switch {
	case errors.Is(err, gossip.ErrUnsent):
		return api.StreamFailed
	case err != nil && !errors.As(err, &no):
		return api.StreamUnanswered
	}
	_, err = g.AskInFullPackets(ctx, p, pingQuestion, strings.Repeat("x", pingLarge))
	if err != nil && !errors.As(err, &no) {
		return api.StreamSmall
	}
	return api.StreamOK
}

func (p *Prober) bookStream(session uint64, id election.ID, state string) {
	run := p.runs[session]
	if run == nil {
		return
	}
	for _, t := range run.targets {
		if t.id == id {
			t.stream = state
		}
	}
}

// answerCheckup returns this agent's report.
func (e *Examiner) answerCheckup(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var m measurement
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	r, err := e.agent.Report(ctx, m.Session)
	r.Files = openFiles()
	return r, err
}
