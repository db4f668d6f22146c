package sim

import (
	"fmt"

	"duckduckgoose/netem/schedule"
)

// RunScenario runs a scenario with a seed of its network's dice and its clocks.
func RunScenario(s *schedule.Scenario, seed uint64) Result {
	set := s.Settings
	set.Seed = seed
	r := Run(set, nil)
	if r.Err != nil {
		return r
	}
	if worst := r.Stats.Quantile(1); s.MaxGap >= 0 && worst > s.MaxGap {
		r.Err = &Unmet{fmt.Sprintf("%v without a goose, and at most %v is allowed", worst, s.MaxGap)}
	}
	if share := float64(r.Stats.Gooseless) / float64(r.Stats.Virtual); s.MaxGooseless >= 0 && share > s.MaxGooseless {
		r.Err = &Unmet{fmt.Sprintf("without a goose in %.2f %% of the time, and at most %.2f %% are allowed", 100*share, 100*s.MaxGooseless)}
	}
	if s.Elections >= 0 && r.Stats.Elections > s.Elections {
		r.Err = &Unmet{fmt.Sprintf("%d elections, and at most %d are allowed", r.Stats.Elections, s.Elections)}
	}
	return r
}
