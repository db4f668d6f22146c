package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

// electionsWatch watches all elections of a flock.
type electionsWatch struct {
	f                *flock.Flock
	n                int
	byDefault        *watch  // of the default election; its judge checks all
	lists            int     // that were checked
	heartbeat, lease float64 // ms, as the agents tell them
}

// electionsView is who leads what at one moment.
type electionsView struct {
	leaders map[string]string // election -> the agent that says it is its goose
	tokens  map[string]uint64
	geese   []int
	idle    string // the agent that should lead the default election; "": the spread is even
}

const (
	// stillFor is how long no goose may change before the flock counts as settled.
	stillFor = 3 * time.Second
	// settling is a first guess of the time to settle, for the progress.
	settling = 10 * time.Second
	// founding is how long each election may take on top of settleWait.
	founding = time.Second
)

// settled waits until every election has its goose and voters, the geese are spread
// evenly, and none has changed for stillFor.
func (w *electionsWatch) settled(ctx context.Context) (*electionsView, error) {
	limit := settleWait + time.Duration(w.n)*founding
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var still *electionsView
	var since time.Time
	for end := time.Now().Add(limit); ; {
		v, missing, err := w.look(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case missing != "" || still == nil || !maps.Equal(v.tokens, still.tokens):
			still, since = v, time.Now()
		case v.idle != "" && time.Since(since) >= stillFor:
			if missing, err = w.moveDefault(ctx, v); err != nil {
				return nil, err
			}
			still = nil
		case time.Since(since) >= max(stillFor, 2*w.leaseTime()):
			if missing, err = w.voted(ctx, v); err != nil {
				return nil, err
			}
			if missing == "" {
				return v, nil
			}
			since = time.Now()
		}
		if time.Now().After(end) {
			if missing == "" {
				missing = "geese still change"
			}
			return nil, fmt.Errorf("waited %v for the elections to settle: %s", limit, missing)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lookWhileMeasured is how often the agents are asked while their costs are measured. An
// answer takes 0.5 ms of CPU, or 2 with a hundred elections: 1 to 3 % of what an idle agent
// uses in that time.
const lookWhileMeasured = 5 * time.Second

// costs measures the cost of each agent, and goes on to check what they answer.
func (w *electionsWatch) costs(ctx context.Context, lasts time.Duration) (all []AgentCost, seconds float64, err error) {
	looking, stop := context.WithCancel(ctx)
	var looks sync.WaitGroup
	looks.Go(func() {
		flock.Every(looking, lookWhileMeasured, func() { _, _, _ = w.look(looking) }) // settled finds what is wrong
	})
	defer looks.Wait()
	defer stop()
	return costs(ctx, w.f, lasts)
}

// look asks every agent for its elections, and checks the answers. It returns what is still missing, or the
// view if nothing is. It fails if an agent has ended by itself.
func (w *electionsWatch) look(ctx context.Context) (v *electionsView, missing string, err error) {
	var lists [][]api.ElectionInfo
	for _, a := range w.f.Agents() {
		asked := boottime.Now()
		list, err := a.Client().Elections(ctx)
		switch {
		case a.Exit() != nil:
			return nil, "", a.Exit()
		case ctx.Err() != nil:
			return nil, "", ctx.Err()
		case err != nil:
			return nil, err.Error(), nil // it starts still
		}
		w.byDefault.judge.list(a.Name, asked, list)
		w.lists++
		lists = append(lists, list)
	}
	v, missing = viewOf(w.f.Names(), lists, w.n)
	return v, missing, nil
}

// moveDefault hands the default election over to an agent that leads fewer elections:
// the flock spreads only the others by itself.
func (w *electionsWatch) moveDefault(ctx context.Context, v *electionsView) (missing string, err error) {
	a, err := w.f.Agent(v.leaders[""])
	if err != nil {
		return "", err
	}
	s := w.byDefault.latest(a.Name)
	if s.Role != api.RoleGoose {
		return a.Name + " to say itself that it leads the default election", nil
	}
	w.byDefault.judge.ends(&s)
	_, err = a.Client().StepDown(ctx, v.idle)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil: // its goose has changed meanwhile, or the other is not ready
		return fmt.Sprintf("the default election to move from %s to %s: %v", a.Name, v.idle, err), nil
	}
	return "", nil
}

// viewOf checks the agents' lists: n elections, each with one goose that all name, and
// the geese of named elections spread evenly, up to a difference of one.
func viewOf(agents []string, lists [][]api.ElectionInfo, n int) (v *electionsView, missing string) {
	v = &electionsView{leaders: map[string]string{}, tokens: map[string]uint64{}}
	var named []int // geese of elections with a name, by agent
	for i, list := range lists {
		if len(list) != n {
			return nil, fmt.Sprintf("%s has %d of %d elections", agents[i], len(list), n)
		}
		geese, byName := 0, 0
		for _, e := range list {
			switch token, seen := v.tokens[e.Name]; {
			case e.Goose == nil:
				return nil, fmt.Sprintf("%s knows no goose of election %q", agents[i], e.Name)
			case seen && token != e.Token:
				return nil, fmt.Sprintf("agents do not agree on the goose of election %q", e.Name)
			}
			v.tokens[e.Name] = e.Token
			if e.LeaseValid {
				v.leaders[e.Name] = agents[i]
				geese++
				if e.Name != "" {
					byName++
				}
			}
		}
		v.geese, named = append(v.geese, geese), append(named, byName)
	}
	switch {
	case len(v.leaders) != n:
		return nil, fmt.Sprintf("%d of %d elections have a goose", len(v.leaders), n)
	case slices.Max(named)-slices.Min(named) > 1:
		return nil, fmt.Sprintf("the geese are not spread: %v an agent", named)
	}
	fewest := slices.Index(v.geese, slices.Min(v.geese))
	if slices.Max(v.geese)-v.geese[fewest] > 1 {
		v.idle = agents[fewest]
	}
	slices.Sort(v.geese)
	return v, ""
}

func (w *electionsWatch) leaseTime() time.Duration {
	return time.Duration(w.lease * float64(time.Millisecond))
}

// voted asks each goose for its status, and returns which election still needs voters.
func (w *electionsWatch) voted(ctx context.Context, v *electionsView) (missing string, err error) {
	for election, name := range v.leaders {
		a, err := w.f.Agent(name)
		if err != nil {
			return "", err
		}
		s, err := a.Client().Election(election).Status(ctx)
		if err != nil {
			return "", err
		}
		w.heartbeat, w.lease = s.Heartbeat, s.LeaseMS
		if got, want := len(s.Config.Voters), votersOf(len(w.f.Names())); got != want {
			missing = fmt.Sprintf("election %q has %d of %d voters", election, got, want)
		}
	}
	return missing, nil
}
