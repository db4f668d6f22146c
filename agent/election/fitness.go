package election

import "time"

// Fitness is what makes an agent more or less suitable as the goose, besides its
// priority (rule 28). It decides who leads, never how long a lease lasts.
type Fitness uint8

// The marks of a Fitness.
const (
	HasWork Fitness = 1 << iota // work for the goose runs or waits here
	Unwell                      // the check of the work fails

	AllFitness = HasWork | Unwell
)

// takeFitness sets this node's own fitness. An unwell node ends its campaign.
func (n *Node) takeFitness(now time.Duration, own Fitness, fx *Effects) {
	n.fitness = own
	if own&Unwell != 0 && (n.role == PreCandidate || n.role == Candidate) {
		n.standDown(now, fx)
	}
}

// bookFitness records the fitness in an ack.
func (p *peer) bookFitness(now time.Duration, shown Fitness) {
	switch {
	case shown&HasWork == 0:
		p.workAt = 0
	case p.workAt == 0:
		p.workAt = now
	}
	p.fitness = shown
}
