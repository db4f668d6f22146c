package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/config"
	"duckduckgoose/agent/doctor"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/member"
)

const (
	measureQuestion = "measure" // begin to measure
	checkupQuestion = "checkup" // tell what was found
	pingQuestion    = "ping"    // tries a stream

	// straggler is how long the last probes may take to come back.
	straggler = time.Second
	// streamWait is how long a stream may take to bring an answer. With half the
	// time of a measurement, which may be a second, it ends before the latter.
	streamWait = 1200 * time.Millisecond
)

// measurement is the body of both questions.
type measurement struct {
	Session uint64        `json:"session"`
	For     time.Duration `json:"for_ns"`
}

// Clinic gives what this file and keys.go offer to the API's server.
func (b backend) Clinic() api.Clinic { return b.a }

var _ api.Clinic = (*Agent)(nil)

// Doctor examines the flock: every live agent measures its paths to the others
// for d, and tells how it is. It takes d and some seconds, more where agents do
// not answer.
func (a *Agent) Doctor(ctx context.Context, d time.Duration) (api.Doctor, error) {
	r, err := a.askable(ctx)
	if err != nil {
		return api.Doctor{}, err
	}
	m := measurement{Session: rand.Uint64(), For: d}
	same := func(member.Peer) any { return m }
	begun := time.Now()
	r.gossip.Gather(ctx, r.live, measureQuestion, same)
	pause := time.NewTimer(d + straggler) // from the last one's start, at the latest
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return api.Doctor{}, ctx.Err()
	}
	patient := doctor.Patient{Measured: d}
	for _, reply := range r.gossip.Gather(ctx, r.live, checkupQuestion, same) {
		p := doctor.Agent{ID: reply.ID.String(), Name: reply.Meta.Name, Addr: reply.Addr.String(), State: reply.State.String(), Via: reply.Via}
		var report doctor.Report
		if err := reply.Read(&report); err != nil {
			p.Error, p.Unreached = err.Error(), errors.Is(err, gossip.ErrUnsent)
		} else {
			p.Report = &report
		}
		if reply.ID == r.self {
			patient.Self = p.ID
		}
		patient.Agents = append(patient.Agents, p)
	}
	for _, p := range r.absent {
		patient.Agents = append(patient.Agents, doctor.Agent{ID: p.ID.String(), Name: p.Meta.Name, Addr: addrText(p), State: p.State.String()})
	}
	slices.SortFunc(patient.Agents, func(a, b doctor.Agent) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	a.cfg.Logger.Info("flock examined", "agents", len(patient.Agents), "took", time.Since(begun).Round(time.Millisecond))
	return doctor.Examine(patient), nil
}

// answerMeasure begins to measure, and does not wait for the end.
func (a *Agent) answerMeasure(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var m measurement
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	if m.For < time.Second || m.For > api.DoctorForMost {
		return nil, fmt.Errorf("measure for %v: want 1s to %v", m.For, api.DoctorForMost)
	}
	type started struct {
		gossip *gossip.Gossip
		first  bool
		peers  []member.Peer
	}
	s, err := ask(ctx, a, func(l *life, answer func(started, error)) error {
		_, known := l.prober.runs[m.Session]
		if !l.measure(m.Session) {
			answer(started{}, fmt.Errorf("%d measurements are under way already", probeRuns))
			return nil
		}
		answer(started{l.gossip, !known, l.streamTargets(m.Session)}, nil)
		return nil
	})
	if err != nil || !s.first {
		return struct{}{}, err
	}
	s.gossip.Background(func(ctx context.Context) { a.sendProbes(ctx, m) })
	s.gossip.Background(func(ctx context.Context) { a.tryStreams(ctx, m, s.gossip, s.peers) })
	return struct{}{}, nil
}

// sendProbes sends them evenly over the time.
func (a *Agent) sendProbes(ctx context.Context, m measurement) {
	ticker := time.NewTicker(m.For / (probeSmall + probeLarge))
	defer ticker.Stop()
	for more := true; more; {
		_, err := ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
			more = l.probe(m.Session)
			answer(struct{}{}, nil)
			return nil
		})
		if err != nil {
			return // the life has ended, and the measurement with it
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// streamTargets gives the agents of a measurement.
func (l *life) streamTargets(session uint64) (peers []member.Peer) {
	for _, t := range l.prober.runs[session].targets {
		if p, ok := l.gossip.Alive(t.id); ok {
			peers = append(peers, p)
		}
	}
	return peers
}

// tryStreams asks each agent something on a stream, one after another within half
// the time. Each agent begins with its successor, so nobody is asked by all at once.
func (a *Agent) tryStreams(ctx context.Context, m measurement, g *gossip.Gossip, peers []member.Peer) {
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
			_, err := g.Ask(patience, p, pingQuestion, struct{}{})
			var no *gossip.Refusal
			state := api.StreamOK
			switch {
			case err == nil, errors.As(err, &no):
			case errors.Is(err, gossip.ErrUnsent):
				state = api.StreamFailed
			default:
				state = api.StreamUnanswered
			}
			_, _ = ask(ctx, a, func(l *life, answer func(struct{}, error)) error { // a life that has ended tells nothing
				l.bookStream(m.Session, p.ID, state)
				answer(struct{}{}, nil)
				return nil
			})
		})
	}
}

func (l *life) bookStream(session uint64, id election.ID, state string) {
	run := l.prober.runs[session]
	if run == nil {
		return
	}
	for _, t := range run.targets {
		if t.id == id {
			t.stream = state
		}
	}
}

// answerCheckup tells how this agent is.
func (a *Agent) answerCheckup(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var m measurement
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	r, err := ask(ctx, a, func(l *life, answer func(doctor.Report, error)) error {
		answer(l.report(m.Session), nil)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Files = openFiles()
	r.Host, r.Boot = a.cfg.Machine()
	s := a.Status()
	r.Role = s.Role
	if s.Goose != nil {
		r.Goose = s.Goose.ID
	}
	return r, nil
}

// report is what the loop knows of itself.
func (l *life) report(session uint64) doctor.Report {
	r := doctor.Report{
		Version: l.cfg.Version, Heartbeat: l.cfg.Heartbeat, Lease: l.cfg.Lease, Voters: l.cfg.Voters, Observer: l.cfg.Observer,
		Keys: l.keys.Load().KeyIDs(), Bind: l.cfg.Bind, Netem: l.netemRules(),
	}
	if host, _, err := net.SplitHostPort(l.cfg.Bind); err == nil {
		r.Loopback = config.IsLoopback(host)
	}
	if n := l.node(); n != nil {
		rec := n.Record()
		r.Term, r.Waits = rec.Term, max(0, n.WaitUntil()-l.now())
		r.Config = doctor.Config{Term: rec.Config.Term, Version: rec.Config.Version}
		for _, v := range rec.Config.Members() {
			r.Config.Voters = append(r.Config.Voters, doctor.Voter{ID: v.ID.String(), Name: l.nameOf(v.ID), Priority: v.Priority})
		}
	}
	r.Paths, r.Heard, r.Streams = l.probed(session)
	return r
}
